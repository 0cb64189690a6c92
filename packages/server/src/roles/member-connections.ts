import type { MemberId } from '../api/index.js';
import type { Member, MemberDirectory } from '../coordination/index.js';
import {
  isRefused,
  type RoleConnection,
  type RoleConnectionOptions,
  type RoleNetwork
} from '../rpc/index.js';
import type { ExtentNodeApi } from '../stream/index.js';
import { remoteExtentNode } from '../stream/index.js';

export interface MemberConnectionsOptions {
  readonly network: RoleNetwork;
  readonly members: MemberDirectory;
  /** Nobody listens at the address of a member. */
  readonly onGone: (member: Member) => void;
}

/** Connections to the other members, one each, made when they are needed. */
export class MemberConnections {
  readonly #options: MemberConnectionsOptions;
  readonly #byAddress = new Map<string, RoleConnection>();
  readonly #nodes = new WeakMap<RoleConnection, ExtentNodeApi>();

  constructor(options: MemberConnectionsOptions) {
    this.#options = options;
  }

  readonly connect = (address: string): RoleConnection => {
    let connection = this.#byAddress.get(address);
    if (!connection) {
      this.#dropOld();
      connection = this.#watched(address, this.#options.network.connect(address));
      this.#byAddress.set(address, connection);
    }
    return connection;
  };

  readonly findNode = (memberId: MemberId): ExtentNodeApi | undefined => {
    const member = this.#options.members.find(memberId);
    if (!member?.roles.includes('extentNode')) return undefined;
    const connection = this.connect(member.address);
    let node = this.#nodes.get(connection);
    if (!node) {
      node = remoteExtentNode(connection);
      this.#nodes.set(connection, node);
    }
    return node;
  };

  close(): void {
    for (const connection of this.#byAddress.values()) connection.close();
  }

  /** Members that come back may have another port each time. */
  #dropOld(): void {
    for (const [address, connection] of this.#byAddress) {
      if (this.#options.members.findByAddress(address)) continue;
      this.#byAddress.delete(address);
      connection.close();
    }
  }

  #watched(address: string, connection: RoleConnection): RoleConnection {
    // As it was when the call began: by the time of the refusal another life of it may be there.
    const find = (): Member | undefined => this.#options.members.findByAddress(address);
    const noteGone = (member: Member | undefined, error: unknown): void => {
      if (member && isRefused(error)) this.#options.onGone(member);
    };
    return {
      call(path: string, payload: unknown, options: RoleConnectionOptions) {
        const member = find();
        const answer = connection.call(path, payload, options);
        answer.catch((error: unknown) => noteGone(member, error));
        return answer;
      },
      async *subscribe(path, payload, options) {
        const member = find();
        try {
          yield* connection.subscribe(path, payload, options);
        } catch (error) {
          noteGone(member, error);
          throw error;
        }
      },
      close: () => connection.close()
    };
  }
}
