import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What a tool says of arguments that it cannot take, in one line, before it ends with 2. */
export function refuseArguments(program: string, problem: string, hint: string): never {
  process.stderr.write(`${program}: ${problem}\nhint: ${hint}\n`);
  process.exit(2);
}

/** `parseArgs` for the project's own tools: a wrong flag is answered with a line that says what to do. */
export function readArguments<T extends ParseArgsConfig>(program: string, config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const options = Object.keys(config.options ?? {}).map((name) => `--${name}`);
    refuseArguments(program, error.message.split('. To specify')[0]!, `it takes ${options.join(', ')}`);
  }
}
