/** Answers the coordinator's wishes for surveys, one after another. */
import { MeshError, type SurveyedMessage, type SurveyMessage } from '@shoal/protocol';
import { survey, type SurveyParts } from './survey.ts';

export interface SurveyorParts {
  readonly survey: (message: SurveyMessage) => SurveyParts;
  readonly send: (message: SurveyedMessage) => void;
  readonly log: (text: string) => void;
}

export class Surveyor {
  readonly #parts: SurveyorParts;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: SurveyorParts) {
    this.#parts = parts;
  }

  take(message: SurveyMessage): void {
    this.#last = this.#last.then(() => this.#answer(message));
  }

  async #answer(message: SurveyMessage): Promise<void> {
    const { model, version, manifestDigest, layers } = message;
    const about = { type: 'surveyed', model, version, manifestDigest, layers } as const;
    const what = `layers ${layers.start}-${layers.end - 1} of ${model} version ${version}`;
    try {
      const { layerMs, bytesAtCut } = await survey(message, this.#parts.survey(message));
      this.#parts.send({ ...about, layerMs: [...layerMs], bytesAtCut: [...bytesAtCut] });
      const ms = layerMs.reduce((sum, each) => sum + each, 0);
      this.#parts.log(`surveyed ${what}: ${ms.toFixed(2)} ms a row`);
    } catch (error) {
      const { code, reason } = MeshError.from(error, 'EXECUTION_FAILED');
      this.#parts.send({ ...about, layerMs: [], bytesAtCut: [], code, reason: reason.slice(0, 2000) });
      this.#parts.log(`no survey of ${what}: ${reason}`);
    }
  }
}
