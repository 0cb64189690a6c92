import { isStoreError, memberId } from '../../api/index.js';
import { ClusterView } from '../../roles/cluster-view.js';
import type { MemberView, StreamManagerApi } from '../../stream/index.js';
import type { Life } from './life.js';
import { type Machine, META_ADDRESS } from './machine.js';
import { MetaSession } from './meta-session.js';
import type { SimulatedNetwork } from './network.js';

const RETRY_MS = 2000;

/** Who takes machines out of the stamp and back in, with the calls that a person has for it. */
export class Operator {
  readonly #life: Life;
  readonly #network: SimulatedNetwork;
  #view: ClusterView | undefined;

  constructor(life: Life, network: SimulatedNetwork) {
    this.#life = life;
    this.#network = network;
  }

  /** Moves everything off a machine. @returns Whether that was done before `isOver`. */
  async drain(machine: Machine, isOver: () => boolean): Promise<boolean> {
    const id = memberId(machine.name);
    await this.#try((manager) => manager.drain({ memberId: id, isCancelled: false }), isOver);
    while (!isOver()) {
      const view = await this.#find(machine, isOver);
      if (view?.duty === 'active') return false;
      if (view?.duty === 'drained' && view.replicaCount === 0) return true;
      await this.#life.wait(RETRY_MS, '');
    }
    return false;
  }

  async cancelDrain(machine: Machine): Promise<void> {
    const id = memberId(machine.name);
    await this.#try((manager) => manager.drain({ memberId: id, isCancelled: true }), NEVER);
  }

  /** Forgets a machine that is drained and stopped. */
  async remove(machine: Machine): Promise<void> {
    const id = memberId(machine.name);
    while (await this.#find(machine, NEVER)) {
      // Refused while it counts as up.
      await this.#try((manager) => manager.removeMember({ memberId: id }), NEVER);
      await this.#life.wait(RETRY_MS, '');
    }
  }

  /** Has every node verify all that it has. */
  async scrub(): Promise<void> {
    await this.#try((manager) => manager.scrub({}), NEVER);
  }

  async #find(machine: Machine, isOver: () => boolean): Promise<MemberView | undefined> {
    const answer = await this.#try((manager) => manager.members(), isOver);
    return answer?.members.find((member) => member.memberId === memberId(machine.name));
  }

  /** Asks until there is an answer, of which a refusal is one. */
  async #try<Answer>(
    ask: (manager: StreamManagerApi) => Promise<Answer>,
    isOver: () => boolean
  ): Promise<Answer | undefined> {
    while (!isOver()) {
      try {
        return await ask((await this.#open()).streamManager);
      } catch (error) {
        if (!isStoreError(error)) throw error;
        if (error.code === 'InvalidArgument') return undefined;
      }
      await this.#life.wait(RETRY_MS, '');
    }
    return undefined;
  }

  async #open(): Promise<ClusterView> {
    if (!this.#view) {
      const network = this.#network.of(this.#life);
      const { clock, random } = this.#life;
      const meta = new MetaSession({ connection: network.connect(META_ADDRESS), clock, random });
      this.#view = await ClusterView.open({ meta, network, clock, random });
    }
    return this.#view;
  }
}

const NEVER = (): boolean => false;
