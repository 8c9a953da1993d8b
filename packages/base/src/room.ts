/** Gives memory of so many bytes to write to, whatever they are: new, or used before. */
export type Room = (bytes: number) => Uint8Array<ArrayBuffer>;

export const newRoom: Room = (bytes) => new Uint8Array(bytes);
