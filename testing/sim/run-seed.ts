import { CaptureFiles } from './capture.ts';
import { makeScenario, type ScenarioChoices } from './scenario.ts';
import { simulate } from './simulate.ts';

/** What is known of a seed once it has run. */
export interface SeedReport {
  seed: number;
  profile: string;
  hash: string;
  frames: number;
  conversations: number;
  retries: number;
  virtualSeconds: number;
  /** What did not hold, or null. */
  failure: string | null;
  captures: readonly string[];
}

/**
 * Runs the scenario of a seed. If it fails it is run again, frame by frame the same, with its frames written to
 * `captureFolder`.
 */
export function runSeed(seed: number, choices: ScenarioChoices, captureFolder: string | null): SeedReport {
  const report: SeedReport = {
    seed,
    profile: '',
    hash: '',
    frames: 0,
    conversations: 0,
    retries: 0,
    virtualSeconds: 0,
    failure: null,
    captures: [],
  };
  try {
    const scenario = makeScenario(seed, choices);
    report.profile = scenario.profile.name;
    const result = simulate(scenario);
    report.hash = result.hash;
    report.frames = result.frames;
    report.conversations = result.flows.length;
    report.retries = result.retries;
    report.virtualSeconds = result.virtualMicros / 1e6;
  } catch (error) {
    report.failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (captureFolder !== null) report.captures = captureSeed(seed, choices, captureFolder);
  }
  return report;
}

/** Runs a seed with its frames written down. Returns the files. */
export function captureSeed(seed: number, choices: ScenarioChoices, folder: string): readonly string[] {
  const files = new CaptureFiles(folder, `sim-${seed}`);
  try {
    simulate(makeScenario(seed, choices), { capture: files.sink });
  } catch {
    // The failure is known: what matters are the frames before it.
  } finally {
    files.close();
  }
  return files.paths;
}
