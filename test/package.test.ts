/** What others get when they install the package: the files, the entry points, the types, the command. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildRoot, projectRoot } from '../testing/project.ts';

interface ExportTarget {
  types: string;
  default: string;
}

interface Manifest {
  version: string;
  bin: Record<string, string>;
  exports: Record<string, string | ExportTarget>;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as Manifest;
const entryPoints = Object.entries(manifest.exports).filter(
  (entry): entry is [string, ExportTarget] => typeof entry[1] !== 'string',
);

/** Tools whose next version may not install from the lock file, or may format and judge differently. */
const MAY_FLOAT = new Set(['@types/node']);

describe('package.json', () => {
  it('depends on koffi and commander at run time, and on nothing else', () => {
    assert.deepEqual(Object.keys(manifest.dependencies).toSorted(), ['commander', 'koffi']);
  });

  it('pins every tool exactly', () => {
    for (const [name, range] of Object.entries(manifest.devDependencies)) {
      if (!MAY_FLOAT.has(name)) assert.match(range, /^\d+\.\d+\.\d+$/, `${name} ${range}`);
    }
  });

  it('has a lock file for the same version, without addresses of a registry', () => {
    const lock = readFileSync(join(projectRoot, 'package-lock.json'), 'utf8');
    assert.equal((JSON.parse(lock) as Manifest).version, manifest.version);
    assert.doesNotMatch(lock, /"resolved":/);
  });

  it('builds before everything that runs what is built', () => {
    for (const [name, command] of Object.entries(manifest.scripts)) {
      if (!command.includes(' dist/')) continue;
      assert.equal(manifest.scripts[`pre${name}`], manifest.scripts['build'], `pre${name}`);
    }
  });
});

describe('the package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-package-'));
  const installed = join(folder, 'node_modules', 'devmem-tcp');
  let packed: string[] = [];

  before(() => {
    const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: projectRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [description] = JSON.parse(output) as [{ files: { path: string }[] }];
    packed = description.files.map((file) => file.path);
    // As if installed, with the dependencies beside it. The build may lie elsewhere than in dist/.
    for (const path of packed) {
      const to = join(installed, path);
      mkdirSync(dirname(to), { recursive: true });
      cpSync(path.startsWith('dist/') ? join(buildRoot, path.slice('dist/'.length)) : join(projectRoot, path), to);
    }
    for (const name of [...Object.keys(manifest.dependencies), '@types']) {
      symlinkSync(join(projectRoot, 'node_modules', name), join(folder, 'node_modules', name));
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
  });

  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('holds what is needed, and neither tests nor tools', () => {
    for (const path of ['LICENSE', 'README.md', 'CHANGELOG.md', 'package.json', 'dist/src/index.js', 'src/index.ts']) {
      assert.ok(packed.includes(path), `${path} is not packed`);
    }
    const strange = packed.filter((path) => !/^(dist\/src|src|man)\/|^(LICENSE|package\.json|[A-Z]+\.md)$/.test(path));
    assert.deepEqual(strange, []);
    assert.deepEqual(
      packed.filter((path) => path.includes('.test.')),
      [],
    );
  });

  it('has every file that its entry points name', () => {
    for (const [name, target] of entryPoints) {
      for (const path of [target.types, target.default]) {
        assert.ok(packed.includes(path.replace(/^\.\//, '')), `${name}: ${path} is not packed`);
      }
    }
  });

  const isElsewhere = buildRoot !== join(projectRoot, 'dist');
  const reason = 'built to another folder than dist/, which its maps are relative to';
  it('has the source of every source map', { skip: isElsewhere ? reason : false }, () => {
    const maps = packed.filter((path) => path.endsWith('.js.map'));
    assert.notEqual(maps.length, 0);
    for (const path of maps) {
      const { sources } = JSON.parse(readFileSync(join(installed, path), 'utf8')) as { sources: string[] };
      for (const source of sources) assert.ok(existsSync(join(installed, dirname(path), source)), `${path}: ${source}`);
    }
  });

  it('can be imported by every name it exports, and by no other', () => {
    for (const [name] of entryPoints) {
      const specifier = name.replace('.', 'devmem-tcp');
      const script = `const all = await import('${specifier}'); process.stdout.write(String(Object.keys(all).length));`;
      const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: folder });
      assert.notEqual(Number(output.toString()), 0, `${specifier} exports nothing`);
    }
    const inner = "await import('devmem-tcp/dist/src/core/ring.js').then(() => process.exit(1), () => {});";
    execFileSync(process.execPath, ['--input-type=module', '--eval', inner], { cwd: folder });
  });

  it('type-checks where it is used, with all checks of the compiler on', () => {
    const imports = entryPoints.map(
      ([name], index) => `import * as m${index} from '${name.replace('.', 'devmem-tcp')}';`,
    );
    const uses = entryPoints.map((_, index) => `export const n${index}: number = Object.keys(m${index}).length;`);
    writeFileSync(join(folder, 'consumer.ts'), [...imports, ...uses].join('\n'));
    for (const module of ['nodenext', 'preserve']) {
      const args = [
        '--noEmit',
        '--strict',
        '--target',
        'es2023',
        '--lib',
        'es2023,esnext.disposable',
        '--types',
        'node',
      ];
      const compiler = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc');
      execFileSync(process.execPath, [compiler, ...args, '--module', module, 'consumer.ts'], { cwd: folder });
    }
  });

  it('brings a command that says its version', () => {
    const path = join(installed, manifest.bin['devmem-tcp']!);
    assert.match(readFileSync(path, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    const output = execFileSync(process.execPath, [path, '--version'], { cwd: folder, encoding: 'utf8' });
    assert.ok(output.includes(manifest.version), output);
  });

  it('leaves nothing in the project when it is packed', () => {
    assert.deepEqual(
      readdirSync(projectRoot).filter((name) => name.endsWith('.tgz')),
      [],
    );
  });
});
