/*
 * A Vulkan driver that hands everything on to SwiftShader while the file BROKEN_FILE does not exist. While it does, there is
 * no device to be found, and work that is given to a device that was found before ends with VK_ERROR_DEVICE_LOST (-4), as
 * on a card that has fallen off its bus. Interface: "Vulkan Loader, Driver Interface", version 2 and later.
 */
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

typedef void (*Function)(void);
typedef Function (*GetFunction)(void *owner, const char *name);
typedef int (*Negotiate)(unsigned *version);
typedef int (*Enumerate)(void *instance, unsigned *count, void *devices);
typedef int (*Submit)(void *queue, unsigned count, const void *submits, unsigned long long fence);

static void *library;
static GetFunction real_instance_function, real_device_function;
static Enumerate real_enumerate;
static Submit real_submit;

static int is_broken(void) { return access(BROKEN_FILE, F_OK) == 0; }

static void *find(const char *name) {
  if (!library) library = dlopen(REAL_DRIVER, RTLD_NOW | RTLD_LOCAL);
  return library ? dlsym(library, name) : 0;
}

static int submit(void *queue, unsigned count, const void *submits, unsigned long long fence) {
  return is_broken() ? -4 : real_submit(queue, count, submits, fence);
}

static int enumerate(void *instance, unsigned *count, void *devices) {
  if (!is_broken()) return real_enumerate(instance, count, devices);
  *count = 0;
  return 0;
}

static Function device_function(void *device, const char *name) {
  Function function = real_device_function(device, name);
  if (!function || strcmp(name, "vkQueueSubmit")) return function;
  real_submit = (Submit)function;
  return (Function)submit;
}

Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
  if (!real_instance_function) real_instance_function = (GetFunction)find("vk_icdGetInstanceProcAddr");
  Function function = real_instance_function ? real_instance_function(instance, name) : 0;
  if (!function) return 0;
  if (!strcmp(name, "vkGetDeviceProcAddr")) {
    real_device_function = (GetFunction)function;
    return (Function)device_function;
  }
  if (!strcmp(name, "vkEnumeratePhysicalDevices")) {
    real_enumerate = (Enumerate)function;
    return (Function)enumerate;
  }
  if (!strcmp(name, "vkQueueSubmit")) {
    real_submit = (Submit)function;
    return (Function)submit;
  }
  return function;
}

int vk_icdNegotiateLoaderICDInterfaceVersion(unsigned *version) {
  Negotiate negotiate = (Negotiate)find("vk_icdNegotiateLoaderICDInterfaceVersion");
  return negotiate ? negotiate(version) : -3;
}

Function vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name) {
  GetFunction function = (GetFunction)find("vk_icdGetPhysicalDeviceProcAddr");
  return function ? function(instance, name) : 0;
}
