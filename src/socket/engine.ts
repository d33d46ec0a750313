import { MAX_TIMER_MS, type Clock } from '../core/clock.ts';

/** What the engine drives: a `Stack`. */
export interface Drivable {
  /** Does a bounded amount of what is to be done. @returns how much that was; 0: nothing is left for now. */
  handle(nowMicros: number): number;
  /** When there is something to do though nothing arrives, in microseconds; NEVER if not. */
  pollAt(): number;
}

/** What wakes the engine: a `Link`. */
export interface Waking {
  readonly isDown: boolean;
  armWake(onWake: () => void): void;
  disarmWake(): void;
}

/** Who has news for the application: put on the engine's list from inside the stack, told after `handle()`. */
export interface Settling {
  settle(): void;
}

/** `handle()` calls in one turn of the event loop, while none of them brings anything to tell an application. */
const HANDLES_PER_TURN = 4;
/** Longest time that an idle engine looks for work before it sleeps. */
const MAX_POLL_MICROS = 200;
/** A wake-up that comes so soon after falling asleep says that polling a little longer would have been cheaper. */
const SHORT_SLEEP_MICROS = 500;
/** Something due so soon is waited for awake: timers of the event loop have a resolution of a millisecond. */
const AWAKE_MICROS = 200;

/**
 * The loop that drives one stack. A turn runs `handle()` a bounded number of times, tells the sockets, and gives the
 * event loop a chance to run the application; while there is work the next turn follows at once, through
 * `setImmediate`. An idle engine looks for work a little longer (as long as that paid lately) and then sleeps, until
 * the link wakes it or a timer of the stack is due.
 *
 * It keeps the process alive only while somebody holds it: listeners and sockets do.
 */
export class Engine {
  readonly #stack: Drivable;
  readonly #link: Waking;
  readonly #clock: Clock;
  readonly #onWake = (): void => this.#wake();
  readonly #onTurn = (): void => this.#turn();

  #holds = 0;
  #keepAlive: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;
  #armed = false;
  #kicked = false;
  #stopped = false;

  #ready: Settling[] = [];
  #settling: Settling[] = [];

  /** Called once, from a turn, when the link has gone down. */
  onLinkDown: (() => void) | null = null;

  #lastWorkMicros = 0;
  #sleptMicros = 0;
  #pollMicros = 0;

  /** Turns taken, times slept: for the curious and for tests. */
  turns = 0;
  sleeps = 0;

  constructor(stack: Drivable, link: Waking, clock: Clock) {
    this.#stack = stack;
    this.#link = link;
    this.#clock = clock;
  }

  nowMicros(): number {
    return this.#clock.nowMicros();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Something was done to the stack from outside: there is work. Cheap when called often. */
  kick(): void {
    this.#kicked = true;
    if (this.#immediate === null && !this.#stopped) this.#schedule();
  }

  /** From inside the stack: tell `who` after this `handle()`. The caller sees to it that it is listed once only. */
  settleLater(who: Settling): void {
    this.#ready.push(who);
  }

  /** Keeps the process alive until the matching `drop()`. */
  hold(): void {
    if (this.#holds++ > 0 || this.#stopped) return;
    // A pending immediate or timer is not always there: an idle socket waits for its peer with neither.
    this.#keepAlive = setInterval(() => {}, MAX_TIMER_MS);
    this.#timer?.ref();
  }

  drop(): void {
    if (--this.#holds > 0 || this.#stopped) return;
    this.#releaseProcess();
  }

  /** Ends the loop. What is on the list is still told. */
  stop(): void {
    if (this.#stopped) return;
    this.#settle();
    this.#stopped = true;
    this.#awaken();
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#immediate = null;
    this.#releaseProcess();
  }

  #releaseProcess(): void {
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive);
    this.#keepAlive = null;
    this.#timer?.unref();
  }

  #turn(): void {
    this.#immediate = null;
    this.#kicked = false;
    this.turns++;
    let now = this.#clock.nowMicros();
    let worked = false;
    for (let i = 0; i < HANDLES_PER_TURN; i++) {
      if (this.#stack.handle(now) === 0) break;
      worked = true;
      if (this.#ready.length > 0) break;
      now = this.#clock.nowMicros();
    }
    if (this.#link.isDown) this.#linkWentDown();
    this.#settle();
    if (this.#stopped || this.#immediate !== null) return;
    if (worked) this.#lastWorkMicros = now;
    if (worked || this.#kicked || now - this.#lastWorkMicros < this.#pollMicros) this.#schedule();
    else this.#sleep(now);
  }

  #linkWentDown(): void {
    const { onLinkDown } = this;
    this.onLinkDown = null;
    onLinkDown?.();
  }

  #settle(): void {
    // Those told may put others, or themselves, on the list again: that is for the next round.
    const settling = this.#ready;
    this.#ready = this.#settling;
    this.#settling = settling;
    for (const who of settling) who.settle();
    settling.length = 0;
  }

  #schedule(): void {
    this.#awaken();
    // Never unreferenced, though nobody may hold the engine: the event loop would not run it, but wait for an event,
    // and the link is not armed meanwhile.
    this.#immediate = setImmediate(this.#onTurn);
  }

  #sleep(nowMicros: number): void {
    const delayMicros = this.#stack.pollAt() - nowMicros;
    if (delayMicros < AWAKE_MICROS) {
      this.#schedule();
      return;
    }
    this.sleeps++;
    this.#sleptMicros = nowMicros;
    if (delayMicros !== Number.POSITIVE_INFINITY) {
      const timer = setTimeout(this.#onTimer, Math.min(Math.ceil(delayMicros / 1000), MAX_TIMER_MS));
      if (this.#holds === 0) timer.unref();
      this.#timer = timer;
    }
    this.#armed = true;
    this.#link.armWake(this.#onWake);
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    if (!this.#stopped && this.#immediate === null) this.#schedule();
  };

  #wake(): void {
    this.#armed = false;
    if (this.#stopped) return;
    const short = this.#clock.nowMicros() - this.#sleptMicros < SHORT_SLEEP_MICROS;
    this.#pollMicros = short ? Math.min(MAX_POLL_MICROS, this.#pollMicros * 2 + 10) : this.#pollMicros >> 1;
    if (this.#immediate === null) this.#schedule();
  }

  #awaken(): void {
    if (this.#armed) {
      this.#armed = false;
      this.#link.disarmWake();
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
