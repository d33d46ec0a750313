/** One target in a thread of its own, so that the main thread can end it where an input makes it loop. */
import { parentPort, workerData } from 'node:worker_threads';
import { RealClock } from '../src/core/clock.ts';
import { SeededRandom } from '../src/core/random.ts';
import { loadCorpus, loadTarget, saveInput } from './corpus.ts';
import { FuzzDriver, type FuzzProgress } from './driver.ts';

export interface FuzzJob {
  target: string;
  seed: number;
  /** Ends after so long, or after `runs` inputs, whichever comes first. */
  seconds: number;
  runs: number;
  /** Writes the inputs that reached something new into the corpus. */
  grow: boolean;
  /** Inputs begun; the main thread sees by it that the target is alive. */
  heartbeat: SharedArrayBuffer;
  /** The length (int32) and the bytes of the input that is being run. */
  current: SharedArrayBuffer;
}

export interface FuzzReport {
  progress: FuzzProgress;
  grown: string[];
  failure: { bytes: Uint8Array; text: string } | null;
}

async function main(job: FuzzJob): Promise<FuzzReport> {
  const target = await loadTarget(job.target);
  const heartbeat = new Int32Array(job.heartbeat);
  const currentLength = new Int32Array(job.current, 0, 1);
  const currentBytes = new Uint8Array(job.current, 4);
  const corpus = loadCorpus(job.target).map(({ bytes }) => bytes);
  const driver = new FuzzDriver({
    target,
    corpus,
    random: new SeededRandom(job.seed),
    onInput: (bytes) => {
      currentLength[0] = bytes.length;
      currentBytes.set(bytes);
      Atomics.add(heartbeat, 0, 1);
    },
  });
  const clock = new RealClock();
  const endMicros = clock.nowMicros() + job.seconds * 1e6;
  let finding = driver.replayCorpus();
  while (finding === null && clock.nowMicros() < endMicros && driver.progress.executions < job.runs) {
    finding = driver.step();
  }
  const grown = job.grow
    ? driver.found(corpus.length).map((bytes) => saveInput(`fuzz/corpus/${job.target}`, bytes))
    : [];
  const { progress } = driver;
  driver.close();
  if (finding === null) return { progress, grown, failure: null };
  const { error, bytes } = finding;
  return {
    progress,
    grown,
    failure: { bytes, text: error instanceof Error ? (error.stack ?? error.message) : String(error) },
  };
}

// eslint-disable-next-line typescript/no-unsafe-argument
parentPort?.postMessage(await main(workerData as FuzzJob));
