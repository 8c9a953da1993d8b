/** What a mode allows: numbers of stages and of nodes for each. */
export interface Shape {
  readonly stagesMin: number;
  readonly stagesMax: number;
  /** Most nodes that may hold one stage. */
  readonly replicasMax: number;
}

export const ANY_SHAPE: Shape = { stagesMin: 1, stagesMax: Infinity, replicasMax: Infinity };

/** As much of a number of stages chosen as matters for how many may follow. */
export function stagesThatCount({ stagesMin, stagesMax }: Shape, stages: number): number {
  return stagesMax === Infinity ? Math.min(stages, stagesMin) : stages;
}
