/**
 * What a hop costs before any of Shoal's software: peers of this process in a row, each of which hands on what comes over
 * a WebRTC data channel as it is.
 */
import { withDeadline } from '@shoal/base';
import { systemClock } from '@shoal/base/system';
import wrtc from '@roamhq/wrtc';
import { median } from './statistics.ts';

const WARM_UP = 200;
const REQUESTS = 200;
const RESULT = new Uint8Array(64);
const DEADLINE_MS = 10_000;

/** The two ends of an open channel. */
type Ends = readonly [RTCDataChannel, RTCDataChannel];

/** Median round trip of so many bytes over a row of peers and of a short answer back from the last, in milliseconds. */
export async function bareLatencyMs(peers: number, bytes: number): Promise<number> {
  const connections: RTCPeerConnection[] = [];
  const connect = async (): Promise<Ends> => {
    const pair = [new wrtc.RTCPeerConnection(), new wrtc.RTCPeerConnection()] as const;
    connections.push(...pair);
    return openChannel(...pair);
  };
  try {
    const [start, first] = await connect();
    let last = first;
    for (let peer = 1; peer < peers; peer++) {
      const [from, to] = await connect();
      last.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => from.send(data);
      last = to;
    }
    const [answering, answered] = peers === 1 ? [first, start] : await connect();
    last.onmessage = () => answering.send(RESULT);
    const latenciesMs: number[] = [];
    for (let request = 0; request < WARM_UP + REQUESTS; request++) {
      const startMs = performance.now();
      const answer = new Promise((resolve) => (answered.onmessage = resolve));
      start.send(new Uint8Array(bytes));
      await inTime(answer, 'answer');
      latenciesMs.push(performance.now() - startMs);
    }
    return median(latenciesMs.slice(WARM_UP));
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function openChannel(one: RTCPeerConnection, other: RTCPeerConnection): Promise<Ends> {
  one.onicecandidate = ({ candidate }) => void (candidate && other.addIceCandidate(candidate));
  other.onicecandidate = ({ candidate }) => void (candidate && one.addIceCandidate(candidate));
  const ends = [one, other].map((connection) => {
    const channel = connection.createDataChannel('bare', { negotiated: true, id: 0 });
    channel.binaryType = 'arraybuffer';
    return channel;
  }) as unknown as Ends;
  const opened = ends.map((channel) => new Promise((resolve) => (channel.onopen = resolve)));
  const offer = await one.createOffer();
  await one.setLocalDescription(offer);
  await other.setRemoteDescription(offer);
  const answer = await other.createAnswer();
  await other.setLocalDescription(answer);
  await one.setRemoteDescription(answer);
  await inTime(Promise.all(opened), 'open channel');
  return ends;
}

const inTime = <Value>(promise: Promise<Value>, what: string): Promise<Value> =>
  withDeadline(promise, {
    clock: systemClock,
    deadlineMs: DEADLINE_MS,
    onDeadline: () => new Error(`no ${what} in ${DEADLINE_MS} ms`),
    onAbort: () => new Error(`no ${what}: given up`),
  });
