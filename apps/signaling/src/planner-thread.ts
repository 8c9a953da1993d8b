/** Entry of the planning thread: one question at a time. */
import { parentPort } from 'node:worker_threads';
import { MeshError } from '@shoal/protocol';
import { answerPlan, type PlanAnswer, type PlanAsk } from '@shoal/scheduling';

if (parentPort === null) throw new Error('this file is the entry of a worker thread');
const port = parentPort;

port.on('message', (ask: PlanAsk) => {
  port.postMessage(answer(ask));
});

function answer(ask: PlanAsk): PlanAnswer {
  try {
    return answerPlan(ask);
  } catch (error) {
    const { code, reason } = MeshError.from(error);
    return { type: 'refused', code, reason: `the planner failed: ${reason}` };
  }
}
