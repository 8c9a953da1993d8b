// Node 20 does not hand its loader down to worker threads: the thread registers tsx itself.
import { register } from 'tsx/esm/api';

register();
await import('./planner-thread.ts');
