/** The NIC's table of steering rules, as far as a lease needs it. */
export interface SteeringRules {
  remove(id: number): boolean;
}

/**
 * A steering rule that lasts as long as somebody needs it: a listener, and each connection that it accepted, for their
 * payload keeps arriving after the listener is closed.
 */
export class SteeringLease {
  readonly #rules: SteeringRules;
  readonly #ids: readonly number[];
  #holders = 1;

  constructor(rules: SteeringRules, ids: readonly number[]) {
    this.#rules = rules;
    this.#ids = ids;
  }

  retain(): this {
    this.#holders++;
    return this;
  }

  release(): void {
    if (--this.#holders > 0) return;
    for (const id of this.#ids) this.#rules.remove(id);
  }
}
