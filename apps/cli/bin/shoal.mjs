#!/usr/bin/env node
// The command as npm links it: loads TypeScript sources through tsx.
import { register } from 'tsx/esm/api';

register();
await import('../src/main.ts');
