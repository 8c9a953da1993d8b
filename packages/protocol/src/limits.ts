/** Every bound of the protocol, with its unit and its reason. A receiver checks them before it allocates. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bumped with every change that the other side would notice; the history is in SPEC.md. */
export const PROTOCOL_VERSION = 1;

/** Payload of one packet. 64 KiB is the size from which one data channel's goodput no longer grows. */
export const CHUNK_BYTES_MAX = 64 * KIB;
/** Payload of every chunk but the last of its message: bounds what a receiver notes about a message in pieces. */
export const CHUNK_BYTES_MIN: number = KIB;

/** One message of work or results after reassembly: fits 27 images of 224x224x3 float32. */
export const DATA_MESSAGE_BYTES_MAX = 16 * MIB;
/** One message of bulk transfer, a piece of a shard: a slow peer shows within one, and it holds up little memory. */
export const BULK_MESSAGE_BYTES_MAX: number = 1 * MIB;
/** One control message: small by nature. */
export const CONTROL_MESSAGE_BYTES_MAX = 64 * KIB;

/** The header of a message with its length field: room for a few hundred tensor descriptions. */
export const MESSAGE_HEADER_BYTES_MAX = 64 * KIB;

/** What a receiver lets the sender have on its way or unread, per stream. */
export const CREDIT_WINDOW_BYTES: number = 8 * MIB;
/** How far ahead of the oldest unfinished message a chunk's message may be: a credit window of messages of 64 bytes. */
export const MESSAGES_AHEAD_MAX: number = CREDIT_WINDOW_BYTES / 64;
/** Control messages carry no credit; a receiver with more than this unread closes the link. */
export const CONTROL_BACKLOG_BYTES_MAX: number = 1 * MIB;
/** What a sender queues per stream before it refuses more: bounds the memory of one that does not wait. */
export const SEND_QUEUE_BYTES_MAX: number = 64 * MIB;

/** Shards of one question for sources, or of one report of what is held: the answer, with its peers, has some 48 KiB. */
export const SHARDS_PER_MESSAGE_MAX = 128;
/** Sources named for one shard: enough to choose from, and to fall back on. */
export const SHARD_SOURCES_MAX = 4;

/** Nodes that must report a source for wrong bytes before nobody is sent to it: one alone cannot take it away. */
export const SHARD_STRIKES_MAX = 3;
/** Others wait for the node that fetches a shard from the coordinator no longer than this. */
export const SHARD_FETCH_LEASE_MS = 30_000;

export const TENSOR_RANK_MAX = 8;
export const TENSORS_PER_MESSAGE_MAX = 256;
export const ROUTE_STAGES_MAX = 64;
/** Pieces of work in one `release`: the longest ids and the longest route fit a control message. */
export const RELEASED_PIECES_MAX = 256;

export const CODEC_NAME_CHARS_MAX = 32;
/** Codecs measured at one boundary. */
export const CODECS_MEASURED_MAX = 32;

/** One signaling message, an SDP offer with all its candidates included. */
export const SIGNALING_MESSAGE_BYTES_MAX = 64 * KIB;
/** One relayed packet with its header. */
export const RELAY_PACKET_BYTES_MAX: number = CHUNK_BYTES_MAX + KIB;

/** Liveness: a ping this often, and this many unanswered in a row make a peer suspect (6 s in all). */
export const PING_INTERVAL_MS = 2000;
export const PINGS_MISSED_MAX = 3;
/** Nobody waits for a client, and its page may be busy with itself: it has longer (30 s). */
export const CLIENT_PINGS_MISSED_MAX = 15;

/** Links change slowly, and so does placement: a node tells of them at most this often. */
export const LINKS_REPORT_INTERVAL_MS = 10_000;
/** Links in one report, those that carried most: bounds the message to some 6 KiB. */
export const LINKS_REPORTED_MAX = 64;
/** Of what was written over links, told with them, the most bytes first: some 40 KiB at the longest names. */
export const WRITINGS_REPORTED_MAX = 128;
/** Layers of one survey: with its cuts some 60 KiB of text. Longer ranges are not surveyed. */
export const SURVEYED_LAYERS_MAX = 4096;

/** A direct connection takes about 0.7 s on one machine and six round trips elsewhere; after this the relay is tried. */
export const DIAL_DEADLINE_MS = 5000;

/** What a caller waits for a result when it names no deadline of its own. */
export const REQUEST_DEADLINE_MS_DEFAULT = 30_000;
export const REQUEST_DEADLINE_MS_MAX = 600_000;

/** Version labels of a model, versions of a policy that names them, and parts of a split: more than anybody tells apart. */
export const VERSIONS_NAMED_MAX = 64;
