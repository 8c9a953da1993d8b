// What all lanes of a vector come to.

export function orLanes(words: v128): i32 {
  return i32x4.extract_lane(words, 0) | i32x4.extract_lane(words, 1) | i32x4.extract_lane(words, 2) | i32x4.extract_lane(words, 3);
}

/** The greatest of 16 lanes, by halves. */
// @ts-ignore: decorator
@inline
export function greatestLane(lanes: v128): u32 {
  let most = i8x16.max_u(lanes, i8x16.shuffle(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  most = i8x16.max_u(most, i8x16.shuffle(most, most, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return max(<u32>i8x16.extract_lane_u(most, 0), <u32>i8x16.extract_lane_u(most, 1));
}
