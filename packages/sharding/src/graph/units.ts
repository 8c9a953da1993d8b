/**
 * Parts joined into units that no cut divides: along bonds, and wherever joining made a loop between two
 * units. A unit of one part is the common case.
 */
import { ModelError } from './model-error.ts';
import { append, unique, type Part, type Parts } from './parts.ts';

/** One or more parts that stay in one stage, and run in the order in which tfjs finds right. */
export interface Unit {
  readonly parts: readonly Part[];
  /** Tensors that it reads from outside. */
  readonly reads: readonly string[];
  /** Tensors that it makes and that others read, or the model gives out. */
  readonly makes: readonly string[];
  /** Units that run before it, by index. */
  readonly after: readonly number[];
  /** Why its parts stay together, if they are several. */
  readonly reason: string | null;
}

/** Units in the order of their first part. */
export function joinParts(source: Parts): readonly Unit[] {
  const index = new Map(source.parts.map((part, i) => [part.name, i]));
  const makers = new Map(source.parts.flatMap((part, i) => part.makes.map((tensor) => [tensor, i] as const)));
  const inputs = new Set(source.inputs);
  const before = source.parts.map((part) => {
    for (const tensor of part.reads) {
      if (!makers.has(tensor) && !inputs.has(tensor)) {
        throw new ModelError('missing', part.name, `reads "${tensor}", which nothing makes`);
      }
    }
    const read = part.reads.flatMap((tensor) => makers.get(tensor) ?? []);
    return unique([...read, ...part.after.flatMap((name) => index.get(name) ?? [])]);
  });
  const groups = new Groups(source.parts.length);
  for (const { parts, reason } of source.bonds) {
    const members = parts.flatMap((name) => index.get(name) ?? []);
    for (const member of members.slice(1)) groups.join(members[0] ?? 0, member, reason);
  }
  if (source.unsliceable !== null)
    for (let i = 1; i < source.parts.length; i += 1) groups.join(0, i, source.unsliceable);
  joinLoops(source, before, groups);
  return unitsOf(source, before, groups);
}

/** Disjoint sets of parts, with the reason for which each was first joined. */
class Groups {
  readonly #parents: number[];
  readonly #reasons = new Map<number, string>();

  constructor(count: number) {
    this.#parents = Array.from({ length: count }, (_, i) => i);
  }

  find(member: number): number {
    let root = member;
    for (let parent = this.#parents[root] ?? root; parent !== root; parent = this.#parents[root] ?? root) {
      this.#parents[root] = this.#parents[parent] ?? parent;
      root = parent;
    }
    return root;
  }

  join(a: number, b: number, reason: string): void {
    const [first, second] = [this.find(a), this.find(b)];
    const kept = this.#reasons.get(first) ?? this.#reasons.get(second) ?? reason;
    this.#parents[second] = first;
    this.#reasons.set(first, kept);
  }

  reason(member: number): string | null {
    return this.#reasons.get(this.find(member)) ?? null;
  }
}

/** Joins the strongly connected components of the groups (Tarjan 1972, without recursion). */
function joinLoops(source: Parts, before: readonly (readonly number[])[], groups: Groups): void {
  const members = new Map<number, number[]>();
  for (let i = 0; i < before.length; i += 1) {
    const root = groups.find(i);
    append(members, root, i);
  }
  const edges = new Map(
    [...members].map(([root, list]) => [root, unique(list.flatMap((i) => before[i] ?? []).map((i) => groups.find(i)))]),
  );
  for (const component of components(edges)) {
    const loops = component.length > 1 || edges.get(component[0] ?? 0)?.includes(component[0] ?? 0);
    if (!loops) continue;
    const parts = component.flatMap((root) => members.get(root) ?? []);
    const mayLoop = parts.length > 1 && component.some((root) => (members.get(root)?.length ?? 0) > 1);
    const inControlFlow = parts.some((i) => source.loops.has(source.parts[i]?.name ?? ''));
    if (!mayLoop && !inControlFlow) {
      throw new ModelError(
        'cyclic',
        source.parts[parts[0] ?? 0]?.name ?? 'modelTopology',
        'a loop without control flow',
      );
    }
    for (const root of component) groups.join(component[0] ?? root, root, 'it lies between parts that stay together');
  }
}

function components(edges: ReadonlyMap<number, readonly number[]>): readonly (readonly number[])[] {
  const found: number[][] = [];
  const order = new Map<number, number>();
  const low = new Map<number, number>();
  const open: number[] = [];
  const isOpen = new Set<number>();
  const enter = (node: number): { node: number; next: number } => {
    order.set(node, order.size);
    low.set(node, order.size - 1);
    open.push(node);
    isOpen.add(node);
    return { node, next: 0 };
  };
  for (const start of edges.keys()) {
    if (order.has(start)) continue;
    const path = [enter(start)];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { node } = top;
      const target = edges.get(node)?.[top.next];
      top.next += 1;
      if (target !== undefined) {
        if (!order.has(target)) path.push(enter(target));
        else if (isOpen.has(target)) low.set(node, Math.min(low.get(node) ?? 0, order.get(target) ?? 0));
        continue;
      }
      path.pop();
      const parent = path.at(-1)?.node;
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent) ?? 0, low.get(node) ?? 0));
      if (low.get(node) !== order.get(node)) continue;
      const component: number[] = [];
      for (let member = open.pop(); member !== undefined; member = open.pop()) {
        isOpen.delete(member);
        component.push(member);
        if (member === node) break;
      }
      found.push(component);
    }
  }
  return found;
}

function unitsOf(source: Parts, before: readonly (readonly number[])[], groups: Groups): readonly Unit[] {
  const numbers = new Map<number, number>();
  const lists: number[][] = [];
  for (let i = 0; i < source.parts.length; i += 1) {
    const root = groups.find(i);
    const number = numbers.get(root);
    if (number !== undefined) {
      lists[number]?.push(i);
      continue;
    }
    numbers.set(root, lists.length);
    lists.push([i]);
  }
  const readers = new Map<string, Set<number>>();
  for (const [i, part] of source.parts.entries()) {
    const unit = numbers.get(groups.find(i)) ?? 0;
    for (const tensor of part.reads) {
      const set = readers.get(tensor);
      if (set === undefined) readers.set(tensor, new Set([unit]));
      else set.add(unit);
    }
  }
  const outputs = new Set(source.outputs);
  return lists.map((list, unit): Unit => {
    const parts = list.flatMap((i) => source.parts[i] ?? []);
    const made = new Set(parts.flatMap((part) => part.makes));
    const isReadElsewhere = (tensor: string): boolean =>
      [...(readers.get(tensor) ?? [])].some((reader) => reader !== unit);
    return {
      parts,
      reads: unique(parts.flatMap((part) => part.reads)).filter((tensor) => !made.has(tensor)),
      makes: [...made].filter((tensor) => outputs.has(tensor) || isReadElsewhere(tensor)),
      after: unique(list.flatMap((i) => before[i] ?? []).map((i) => numbers.get(groups.find(i)) ?? 0)).filter(
        (u) => u !== unit,
      ),
      reason: list.length > 1 ? groups.reason(list[0] ?? 0) : null,
    };
  });
}
