/** A thing with a life. `stop` is idempotent and ends within a second of being asked. */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * An ordered list of services: started top to bottom, stopped bottom to top.
 * When a start fails, those already started are stopped before the failure is rethrown.
 */
export class Lifecycle implements Service {
  readonly name: string;
  readonly #services: readonly Service[];
  readonly #started: Service[] = [];

  constructor(name: string, services: readonly Service[]) {
    this.name = name;
    this.#services = services;
  }

  async start(): Promise<void> {
    for (const service of this.#services) {
      try {
        await service.start();
      } catch (error) {
        await this.stop();
        throw error;
      }
      this.#started.push(service);
    }
  }

  /** Stops everything even when one stop fails; the first failure is rethrown at the end. */
  async stop(): Promise<void> {
    const failures: unknown[] = [];
    for (let service = this.#started.pop(); service !== undefined; service = this.#started.pop()) {
      try {
        await service.stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
