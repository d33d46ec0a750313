import type { Command, Option } from 'commander';
import { describeOption } from './command.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

/** What may follow an option or stand as an argument. */
interface Values {
  readonly choices: readonly string[];
  readonly files: boolean;
}

const NO_VALUES: Values = { choices: [], files: false };

function optionValues(option: Option): Values | null {
  if (!option.required && !option.optional) return null;
  return { choices: option.argChoices ?? [], files: /<file>/i.test(option.flags) };
}

function argumentValues(program: Command, command: Command): Values {
  if (command.name() === 'help') return { choices: program.commands.map((sub) => sub.name()), files: false };
  const [first] = command.registeredArguments;
  if (first === undefined) return NO_VALUES;
  return { choices: first.argChoices ?? [], files: first.name() === 'file' };
}

function visibleOptions(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

function names(option: Option): string[] {
  return [option.short, option.long].filter((name) => name !== undefined && name !== null);
}

/** A completion script for `program`. */
export function renderCompletion(program: Command, shell: Shell): string {
  return RENDERERS[shell](program);
}

function bashReply(values: Values): string {
  return values.files ? `compgen -f -- "$word"` : `compgen -W '${values.choices.join(' ')}' -- "$word"`;
}

function renderBash(program: Command): string {
  const lines = [
    '# bash completion for devmem-tcp: source <(devmem-tcp completion bash)',
    '_devmem_tcp() {',
    '  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}',
    '  COMPREPLY=()',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W '${program.commands.map((sub) => sub.name()).join(' ')} --help --version' -- "$word"))`,
    '    return',
    '  fi',
    '  case "$command $before" in',
  ];
  for (const command of program.commands) {
    for (const option of visibleOptions(command)) {
      const values = optionValues(option);
      if (values === null) continue;
      const pattern = names(option)
        .map((name) => `'${command.name()} ${name}'`)
        .join('|');
      lines.push(`    ${pattern}) COMPREPLY=($(${bashReply(values)})); return ;;`);
    }
  }
  lines.push('  esac', '  case "$command" in');
  for (const command of program.commands) {
    const flags = visibleOptions(command)
      .flatMap((option) => names(option))
      .join(' ');
    lines.push(
      `    ${command.name()})`,
      `      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '${flags}' -- "$word"))`,
      `      else COMPREPLY=($(${bashReply(argumentValues(program, command))})); fi ;;`,
    );
  }
  lines.push('  esac', '}', 'complete -o bashdefault -F _devmem_tcp devmem-tcp', '');
  return lines.join('\n');
}

/** For a single-quoted word of _arguments, where brackets and colons have a meaning. */
function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, String.raw`\$&`);
}

function zshAction(values: Values): string {
  if (values.files) return '_files';
  return values.choices.length === 0 ? ' ' : `(${values.choices.join(' ')})`;
}

function zshOption(option: Option): string {
  const all = names(option);
  const text = `[${zshText(describeOption(option))}]`;
  const values = optionValues(option);
  const tail = values === null ? '' : `:value:${zshAction(values)}`;
  if (all.length === 1) return `'*${all[0]!}${text}${tail}'`;
  return `'*'{${all.join(',')}}'${text}${tail}'`;
}

function renderZsh(program: Command): string {
  const lines = [
    '#compdef devmem-tcp',
    '# zsh completion for devmem-tcp: devmem-tcp completion zsh > "${fpath[1]}/_devmem-tcp"',
    '_devmem_tcp() {',
    '  local -a commands',
    '  commands=(',
    ...program.commands.map((sub) => `    '${sub.name()}:${zshText(sub.summary())}'`),
    '  )',
    '  if (( CURRENT == 2 )); then _describe command commands; return; fi',
    '  local command=$words[2]',
    '  shift words; (( CURRENT-- ))',
    '  case $command in',
  ];
  for (const command of program.commands) {
    const values = argumentValues(program, command);
    const specs = visibleOptions(command).map((option) => zshOption(option));
    if (values.files || values.choices.length > 0) specs.push(`'1:argument:${zshAction(values)}'`);
    lines.push(
      `    ${command.name()}) _arguments \\`,
      ...specs.map((spec, i) => `      ${spec}${i + 1 < specs.length ? ' \\' : ' ;;'}`),
    );
  }
  lines.push(
    '  esac',
    '}',
    'if [ "$funcstack[1]" = "_devmem-tcp" ]; then _devmem_tcp "$@"; else compdef _devmem_tcp devmem-tcp; fi',
    '',
  );
  return lines.join('\n');
}

function fishText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
}

function fishValues(values: Values): string {
  if (values.files) return ' -r -F';
  return values.choices.length > 0 ? ` -x -a ${fishText(values.choices.join(' '))}` : ' -x';
}

function renderFish(program: Command): string {
  const lines = [
    '# fish completion for devmem-tcp: devmem-tcp completion fish | source',
    'complete -c devmem-tcp -f',
    'complete -c devmem-tcp -n __fish_use_subcommand -s h -l help -d ' + fishText('show help'),
    'complete -c devmem-tcp -n __fish_use_subcommand -s V -l version -d ' + fishText('print the version'),
  ];
  for (const command of program.commands) {
    lines.push(
      `complete -c devmem-tcp -n __fish_use_subcommand -a ${command.name()} -d ${fishText(command.summary())}`,
    );
    const when = `complete -c devmem-tcp -n '__fish_seen_subcommand_from ${command.name()}'`;
    const own = argumentValues(program, command);
    if (own.files) lines.push(`${when} -F`);
    if (own.choices.length > 0) lines.push(`${when} -a ${fishText(own.choices.join(' '))}`);
    for (const option of visibleOptions(command)) {
      const short = option.short ? ` -s ${option.short.slice(1)}` : '';
      const values = optionValues(option);
      const tail = values === null ? '' : fishValues(values);
      lines.push(`${when}${short} -l ${option.long!.slice(2)}${tail} -d ${fishText(describeOption(option))}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const RENDERERS: Readonly<Record<Shell, (program: Command) => string>> = {
  bash: renderBash,
  zsh: renderZsh,
  fish: renderFish,
};
