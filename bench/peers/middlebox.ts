/** Joins the kernels of two network namespaces by two TAPs with a path between them: `middlebox PATH NS-A NS-B`. */
import { RealClock } from '../../src/core/clock.ts';
import { openTap } from '../../src/link/tap.ts';
import { Engine } from '../../src/socket/engine.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { Middlebox } from '../../testing/middlebox.ts';
import { parsePath, pathLink } from './path.ts';

const [path = '', here = '', there = ''] = process.argv.slice(2);
const clock = new RealClock();
const offloads = { checksum: false, tcpSegmentation: false };
const one = await openTap({ name: 'dml0', netns: here, peerAddresses: [parsePrefix('10.97.0.1/24')!], offloads });
const other = await openTap({ name: 'dml0', netns: there, peerAddresses: [parsePrefix('10.97.0.2/24')!], offloads });
const box = new Middlebox(pathLink(one, clock, parsePath(path)), other);
const engine = new Engine(box, box, clock);
engine.hold();
engine.kick();
process.stdout.write('ready\n');
process.once('SIGTERM', () => {
  engine.stop();
  box.close();
});
