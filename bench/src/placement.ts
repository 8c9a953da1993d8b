/** How good plans are, how soon they are made and how little they move, on seeded models and meshes. */
import { MOVE_POLICY, planModel, provenOptimum } from '@shoal/sharding';
import type { Plan, PlanRequest } from '@shoal/sharding';
import type { Bench, BenchContext } from './bench.ts';
import { eventTimes } from './coordinator-events.ts';
import { placementInstance } from './placement-instances.ts';
import type { Instance, Net } from './placement-instances.ts';
import { moveAfter } from './placement-moves.ts';
import type { BenchRow } from './row.ts';
import { median, percentile } from './statistics.ts';

const SMALL_NODES = 12;
const SMALL_INSTANCES = 60;
const LARGE_NODES = [16, 32, 64, 128, 256];
const LARGE_INSTANCES = 36;
const EVENT_INSTANCES = 6;
const MOVE_NODES = [4, 6, 8, 10, 12];
const MOVE_INSTANCES = 24;
/** Each plan is timed this often and its median taken: what else the machine does is not the planner's. */
const TIMINGS = 3;
const WARM_UP = 6;

export const placement: Bench = {
  name: 'placement',
  summary: 'plans against the proven optimum and against computed bounds, time to plan, bytes moved',
  run: (context) => Promise.resolve(measure(context)),
};

function measure({ progress }: BenchContext): BenchRow[] {
  for (let seed = 1; seed <= WARM_UP; seed++) planModel(placementInstance(seed, SMALL_NODES));
  progress(`${SMALL_INSTANCES} meshes of ${SMALL_NODES} nodes`);
  const small = instances(SMALL_INSTANCES, SMALL_NODES).map((instance) => ({ instance, ...timedPlan(instance) }));
  progress('their proven optima');
  const optimal = small.map(({ instance, plan }) => ratio(plan.predicted.rowsPerSecond, provenOptimum(instance)));
  const proven = small.filter(({ plan }) => plan.predicted.boundRowsPerSecond === plan.predicted.rowsPerSecond).length;
  const large = LARGE_NODES.flatMap((nodes) => {
    progress(`${LARGE_INSTANCES} meshes of ${nodes} nodes`);
    return instances(LARGE_INSTANCES, nodes).map((instance) => ({ instance, nodes, ...timedPlan(instance) }));
  });
  progress('events of a coordinator');
  const events = instances(EVENT_INSTANCES, LARGE_NODES.at(-1)!).map(eventTimes);
  const eventMs = events.flatMap(({ ms }) => ms);
  progress('joins and leaves');
  const moves = MOVE_NODES.flatMap((nodes) => instances(MOVE_INSTANCES, nodes).flatMap(movedRatios));
  const boundRatios = large.map(({ plan }) => ratio(plan.predicted.rowsPerSecond, plan.predicted.boundRowsPerSecond));
  const byNet = (net: Net): number => mean(boundRatios.filter((_, k) => large[k]!.instance.net === net));
  const byNodes = LARGE_NODES.map((nodes) => {
    const those = boundRatios.filter((_, k) => large[k]!.nodes === nodes);
    return `${nodes} nodes ${mean(those).toFixed(3)} (least ${Math.min(...those).toFixed(3)})`;
  });
  const largest = large.filter(({ nodes }) => nodes === LARGE_NODES.at(-1)).map(({ ms }) => ms);
  const meshes = `${LARGE_INSTANCES} seeded meshes each of ${LARGE_NODES.join(', ')} nodes`;
  return [
    {
      metric: `optimal_ratio_${SMALL_NODES}`,
      value: Math.min(...optimal),
      unit: 'ratio',
      baseline: 'proven optimum: maximum flow over all tilings and replicas, searched without heuristic or limit',
      target: 1,
      better: 'higher',
      note: `worst of ${SMALL_INSTANCES}; optimum to 1e-6; ${proven} plans came with their proof`,
    },
    {
      metric: 'bound_ratio_mean_256',
      value: mean(boundRatios),
      unit: 'ratio',
      baseline: `computed upper bound (linear and Lagrangian relaxations), ${meshes}`,
      target: 0.98,
      better: 'higher',
      note: `${byNodes.join(', ')}; LAN ${byNet('lan').toFixed(3)}, homes ${byNet('wan').toFixed(3)}, sites ${byNet('sites').toFixed(3)}`,
    },
    {
      metric: 'bound_ratio_p5_256',
      value: percentile(boundRatios, 0.05),
      unit: 'ratio',
      baseline: `the same, ${meshes}`,
      target: 0.95,
      better: 'higher',
      min: Math.min(...boundRatios),
      max: Math.max(...boundRatios),
    },
    timeRow(
      SMALL_NODES,
      100,
      small.map(({ ms }) => ms),
    ),
    timeRow(LARGE_NODES.at(-1)!, 1000, largest),
    {
      metric: 'coordinator_event_ms_p99_256',
      value: percentile(eventMs, 0.99),
      unit: 'ms',
      baseline: `time in which one event holds up the coordinator's event loop, ${EVENT_INSTANCES} meshes of ${LARGE_NODES.at(-1)} nodes; plans are made in a thread of their own`,
      target: 10,
      better: 'lower',
      min: Math.min(...eventMs),
      max: Math.max(...eventMs),
      note: `${eventMs.length} joins, leaves, pongs, ticks and answers; median ${median(eventMs).toFixed(2)}. A question about the full mesh was answered in ${median(events.map(({ answerMs }) => answerMs)).toFixed(0)} ms, at worst ${Math.max(...events.map(({ answerMs }) => answerMs)).toFixed(0)}`,
    },
    {
      metric: 'moved_ratio',
      value: Math.max(...moves),
      unit: 'ratio',
      baseline: `fewest bytes of any placement within ${MOVE_POLICY.slack * 100} % of the best, searched without heuristic or limit`,
      target: 1.2,
      better: 'lower',
      note: `worst of ${moves.length} joins and leaves that call for a move, ${MOVE_NODES.join(', ')} nodes; mean ${mean(moves).toFixed(3)}`,
    },
  ];
}

/** The first `count` seeded instances that can be placed at all. */
function instances(count: number, nodes: number): Instance[] {
  const found: Instance[] = [];
  for (let seed = 1; found.length < count; seed++) {
    const instance = placementInstance(seed, nodes);
    if ('ok' in planModel(instance)) found.push(instance);
  }
  return found;
}

function timedPlan(request: PlanRequest): { readonly plan: Plan; readonly ms: number } {
  const times: number[] = [];
  for (;;) {
    const startMs = performance.now();
    const plan = planned(request);
    times.push(performance.now() - startMs);
    if (times.length === TIMINGS) return { plan, ms: median(times) };
  }
}

function planned(request: PlanRequest): Plan {
  const result = planModel(request);
  if ('refused' in result) throw new Error(`refused: ${result.refused.reason}`);
  return result.ok;
}

/** One join and one leave: bytes moved over the least, where anything has to move. */
function movedRatios(instance: Instance, seed: number): number[] {
  return (['join', 'leave'] as const).flatMap((change) => {
    const moved = moveAfter(change, instance, seed);
    if (moved === undefined) return [];
    const least = moved.least();
    return [least === 0 && moved.bytes === 0 ? 1 : moved.bytes / least];
  });
}

function timeRow(nodes: number, target: number, times: readonly number[]): BenchRow {
  return {
    metric: `plan_ms_${nodes}`,
    value: Math.max(...times),
    unit: 'ms',
    baseline: `wall clock of planModel, ${times.length} meshes of ${nodes} nodes, median of ${TIMINGS} runs each; the worst of them`,
    target,
    better: 'lower',
    note: `median ${median(times).toFixed(0)}, 95th percentile ${percentile(times, 0.95).toFixed(0)}`,
  };
}

function ratio(value: number, of: number): number {
  return value / of;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
