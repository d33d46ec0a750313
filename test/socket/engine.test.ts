import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER, RealClock } from '../../src/core/clock.ts';
import { Engine, type Settling } from '../../src/socket/engine.ts';

/** A stack with so many units of work, and a link that wakes when told to. */
class FakeStack {
  work = 0;
  handled = 0;
  dueMicros: number = NEVER;
  onHandle: () => void = () => {};

  handle(): number {
    this.handled++;
    this.onHandle();
    return this.work > 0 ? this.work-- : 0;
  }

  pollAt(): number {
    return this.dueMicros;
  }
}

class FakeLink {
  onWake: (() => void) | null = null;
  armed = 0;
  isDown = false;
  onArm: () => void = () => {};

  armWake(onWake: () => void): void {
    this.onWake = onWake;
    this.armed++;
    this.onArm();
  }

  disarmWake(): void {
    this.onWake = null;
  }

  wake(): void {
    const { onWake } = this;
    this.onWake = null;
    onWake?.();
  }

  /** Resolves when the engine has gone to sleep. */
  asleep(): Promise<void> {
    return new Promise((resolve) => {
      this.onArm = resolve;
    });
  }
}

function setUp(): { stack: FakeStack; link: FakeLink; engine: Engine } {
  const stack = new FakeStack();
  const link = new FakeLink();
  const engine = new Engine(stack, link, new RealClock());
  engine.hold();
  return { stack, link, engine };
}

test('a kick runs handle() until there is no work, then the engine sleeps', async () => {
  const { stack, link, engine } = setUp();
  stack.work = 10;
  engine.kick();
  await link.asleep();
  assert.equal(stack.work, 0);
  assert.ok(stack.handled >= 11);
  assert.equal(engine.sleeps, 1);
  engine.stop();
});

test('one turn is bounded: the event loop runs in between', async () => {
  const { stack, link, engine } = setUp();
  stack.work = 100;
  engine.kick();
  await link.asleep();
  assert.ok(engine.turns >= 25, `${engine.turns} turns for 100 units of work`);
  engine.stop();
});

test('a wake-up of the link ends the sleep', async () => {
  const { stack, link, engine } = setUp();
  engine.kick();
  await link.asleep();
  const before = stack.handled;
  stack.work = 1;
  const again = link.asleep();
  link.wake();
  await again;
  assert.equal(stack.work, 0);
  assert.ok(stack.handled > before);
  engine.stop();
});

test('so it does while nobody holds the engine: the event loop does not wait for another event first', async () => {
  const { stack, link, engine } = setUp();
  engine.kick();
  await link.asleep();
  engine.drop();
  stack.work = 3;
  link.wake();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(stack.work, 0);
  engine.stop();
});

test('a timer of the stack ends the sleep', async () => {
  const { stack, link, engine } = setUp();
  stack.pollAt = () => engine.nowMicros() + 3000;
  engine.kick();
  await link.asleep();
  const before = stack.handled;
  await new Promise<void>((resolve) => {
    stack.onHandle = resolve;
  });
  assert.equal(stack.handled, before + 1);
  engine.stop();
});

test('what is due at once is not slept for', async () => {
  const { stack, link, engine } = setUp();
  stack.dueMicros = engine.nowMicros() - 1;
  let handled = 0;
  stack.onHandle = () => {
    if (++handled === 5) stack.dueMicros = NEVER;
  };
  engine.kick();
  await link.asleep();
  assert.ok(handled >= 5);
  assert.equal(engine.sleeps, 1);
  engine.stop();
});

test('those who have news are told after handle(), each round once', async () => {
  const { stack, link, engine } = setUp();
  let inHandle = false;
  let told = 0;
  const settling: Settling = {
    settle: () => {
      assert.equal(inHandle, false);
      told++;
      if (told === 1) engine.settleLater(settling);
      engine.kick();
    },
  };
  stack.work = 1;
  stack.onHandle = () => {
    inHandle = true;
    if (stack.work === 1) engine.settleLater(settling);
    inHandle = false;
  };
  engine.kick();
  await link.asleep();
  assert.equal(told, 2);
  engine.stop();
});

test('a stopped engine does nothing and disarms the link', async () => {
  const { stack, link, engine } = setUp();
  engine.kick();
  await link.asleep();
  engine.stop();
  engine.stop();
  assert.equal(link.onWake, null);
  const { handled } = stack;
  engine.kick();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stack.handled, handled);
  assert.equal(engine.stopped, true);
});

test('a kick while asleep disarms the link and works at once', async () => {
  const { stack, link, engine } = setUp();
  engine.kick();
  await link.asleep();
  const { handled } = stack;
  const again = link.asleep();
  engine.kick();
  assert.equal(link.onWake, null);
  await again;
  assert.ok(stack.handled > handled);
  engine.stop();
});
