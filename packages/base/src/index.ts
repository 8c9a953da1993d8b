export { joinBytes } from './bytes.ts';
export type { Brand } from './brand.ts';
export { ManualClock, type Cancel, type Clock } from './clock.ts';
export { withDeadline, type DeadlineOptions } from './deadline.ts';
export { deferred, type Deferred } from './deferred.ts';
export { seededRandom, type Random } from './random.ts';
export { newRoom, type Room } from './room.ts';
export { SpareMemory } from './spare-memory.ts';
