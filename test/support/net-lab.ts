import { execFileSync, spawnSync } from 'node:child_process';

/*
 * A network of this machine alone: hosts are network namespaces on a bridge, whose cables can be pulled. A pulled cable
 * says nothing to either side, unlike a killed process. Addresses are of a network reserved for documentation that this
 * machine does not use.
 */

const NETWORKS = ['198.51.100', '203.0.113', '192.0.2'];

const FIRST_HOST = 10;

export interface NetHost {
  readonly address: string;
  /** Runs a program there: put it before the program and its arguments. */
  readonly prefix: readonly string[];
}

export class NetLab implements Disposable {
  /** Where the rest of this machine is reached from the hosts. */
  readonly address: string;
  readonly hosts: readonly NetHost[];
  readonly #id: string;

  private constructor(id: string, address: string, hosts: readonly NetHost[]) {
    this.#id = id;
    this.address = address;
    this.hosts = hosts;
  }

  /** Why there cannot be one here, or false. */
  static missing(): string | false {
    if (process.getuid?.() !== 0) return 'network namespaces need root';
    const probe = spawnSync('ip', ['netns', 'list']);
    return probe.status === 0 ? false : 'there is no ip command with netns (Debian package iproute2)';
  }

  static create(hostCount: number): NetLab {
    const id = `st${process.pid.toString(36)}`;
    const bridge = `${id}br`;
    const network = unusedNetwork();
    const lab = new NetLab(
      id,
      `${network}.1`,
      Array.from({ length: hostCount }, (_, index) => ({
        address: `${network}.${FIRST_HOST + index}`,
        prefix: ['ip', 'netns', 'exec', `${id}h${index}`]
      }))
    );
    try {
      ip('link', 'add', bridge, 'type', 'bridge');
      ip('addr', 'add', `${lab.address}/24`, 'dev', bridge);
      ip('link', 'set', bridge, 'up');
      for (const [index, { address }] of lab.hosts.entries()) {
        const [space, cable] = [`${id}h${index}`, `${id}c${index}`];
        ip('netns', 'add', space);
        ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
        ip('link', 'set', cable, 'master', bridge, 'up');
        ip('-n', space, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        ip('-n', space, 'link', 'set', 'eth0', 'up');
        ip('-n', space, 'link', 'set', 'lo', 'up');
      }
      return lab;
    } catch (error) {
      lab[Symbol.dispose]();
      throw error;
    }
  }

  /** Pulls the cable of a host, or plugs it in again. */
  setConnected(index: number, isConnected: boolean): void {
    ip('link', 'set', `${this.#id}c${index}`, isConnected ? 'up' : 'down');
  }

  [Symbol.dispose](): void {
    for (const index of this.hosts.keys()) spawnSync('ip', ['netns', 'del', `${this.#id}h${index}`]);
    spawnSync('ip', ['link', 'del', `${this.#id}br`]);
  }
}

/** @throws Error when this machine uses all of them. */
function unusedNetwork(): string {
  const used = ['addr', 'route'].map((what) => execFileSync('ip', [what], { encoding: 'utf8' })).join();
  const network = NETWORKS.find((each) => !used.includes(`${each}.`));
  if (network) return network;
  throw new Error(`this machine uses all of ${NETWORKS.join(', ')}`);
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}
