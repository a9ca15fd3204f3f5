/**
 * Where Node keeps what it made of the sources (`NODE_COMPILE_CACHE`). A run of the tests starts some thousand processes
 * of the same programs, and stripping and compiling them was 40 % of its processor time.
 */
export const compileCache: string = new URL("../../node_modules/.cache/fairlead-compile", import.meta.url).pathname;
