import { ScriptFailure } from './failure.ts';
import { parseScript } from './parse.ts';
import { Player } from './player.ts';
import { ScriptError, type Script } from './script.ts';
import { makeSettings, modeDefines, type IpMode } from './settings.ts';

export interface ScriptResult {
  passed: boolean;
  /** `path:line: what`; '' if it passed. */
  message: string;
  trace: readonly string[];
}

export interface RunOptions {
  mode: IpMode;
  /** Of the command line: the script's own have the last word. */
  options?: readonly (readonly [string, string])[];
  defines?: ReadonlyMap<string, string>;
}

/** Parses a script for a mode and plays it. */
export function runScript(text: string, path: string, run: RunOptions): ScriptResult {
  const { mode, options = [], defines = new Map<string, string>() } = run;
  let player: Player | null = null;
  try {
    const script: Script = parseScript(text, path, new Map([...modeDefines(mode), ...defines]));
    const settings = makeSettings(mode, [...options, ...script.options]);
    if (typeof settings === 'string') return { passed: false, message: `${path}: ${settings}`, trace: [] };
    player = new Player(script, settings);
    player.run();
    return { passed: true, message: '', trace: player.trace };
  } catch (error) {
    const trace = player?.trace ?? [];
    if (error instanceof ScriptError) return { passed: false, message: error.message, trace };
    if (error instanceof ScriptFailure)
      return { passed: false, message: `${path}:${error.line}: ${error.message}`, trace };
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { passed: false, message: `${path}: the stack threw: ${what}`, trace };
  }
}

/** The modes that a script is for: all, unless it names one, or its file's name ends in one, as packetdrill's own do. */
export function scriptModes(text: string, modes: readonly IpMode[], path = ''): readonly IpMode[] {
  const named = /^--ip_version=(\S+)/m.exec(text)?.[1];
  if (named !== undefined) return modes.filter((mode) => mode === named);
  if (path.endsWith('v6.pkt')) return modes.filter((mode) => mode === 'ipv6');
  return path.endsWith('v4.pkt') ? modes.filter((mode) => mode !== 'ipv6') : modes;
}
