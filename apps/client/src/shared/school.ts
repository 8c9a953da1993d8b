/**
 * Where each fish of the school is at a time: a pure function, so that a still picture (reduced motion, a tab that
 * computes) is the same drawing at one time. One fish stands for one node of the mesh.
 */

/** The water that the school swims in, in pixels. */
export interface Water {
  readonly width: number;
  readonly height: number;
}

/** More nodes than this are drawn as this many. */
export const FISH_MAX = 48;

export interface FishPose {
  readonly x: number;
  readonly y: number;
  /** Clockwise from "to the right". */
  readonly headingDeg: number;
  readonly scale: number;
  /** 0 far (pale) to 1 near. */
  readonly depth: number;
}

// The golden angle spreads any number of fish evenly over the body of the school, like seeds in a sunflower.
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
/** Water as high as this holds fish of full size. */
const FULL_HEIGHT = 150;
/** Half the length and height of a school of the largest size, as shares of the water. */
const REACH_X = 0.27;
const REACH_Y = 0.33;

interface Place {
  readonly x: number;
  readonly y: number;
}

/** The middle of the school: a slow, wide figure of eight, right of the centre. */
function middle(seconds: number, water: Water): Place {
  return {
    x: water.width * (0.6 + 0.07 * Math.sin(seconds * 0.09)),
    y: water.height * (0.48 + 0.05 * Math.sin(seconds * 0.18)),
  };
}

function position(index: number, count: number, seconds: number, water: Water): Place {
  const centre = middle(seconds, water);
  const reach = Math.sqrt((index + 0.5) / Math.max(count, 1));
  const angle = index * GOLDEN_ANGLE;
  const size = Math.min(1, 0.3 + 0.7 * Math.sqrt(count / FISH_MAX));
  // Each fish keeps its place but breathes around it, with a phase of its own.
  const phase = index * 2.399;
  const breath = Math.min(1, water.height / FULL_HEIGHT);
  return {
    x:
      centre.x + REACH_X * water.width * size * reach * Math.cos(angle) + 10 * breath * Math.sin(seconds * 0.5 + phase),
    y:
      centre.y +
      REACH_Y * water.height * size * reach * Math.sin(angle) +
      6 * breath * Math.sin(seconds * 0.7 + 1.7 * phase),
  };
}

const HEADING_STEP_SECONDS = 0.5;

/** Fish `index` of `count` at `seconds`. */
export function fishPose(index: number, count: number, seconds: number, water: Water): FishPose {
  const here = position(index, count, seconds, water);
  const soon = position(index, count, seconds + HEADING_STEP_SECONDS, water);
  // Fish look where the school goes, to the right; drifting up or down tilts them.
  const headingDeg = Math.atan2(soon.y - here.y, 20) * (180 / Math.PI);
  const depth = ((index * 7) % 10) / 9;
  const scale = (0.95 + 0.6 * depth) * Math.min(1, water.height / FULL_HEIGHT);
  return { ...here, headingDeg, scale, depth };
}

/**
 * The visitor's own fish: outside the school at `joined` = 0, in its midst at 1. Between them it nears as far as the
 * preparation has come.
 */
export function ownFishPose(seconds: number, joined: number, water: Water): FishPose {
  const near = Math.min(1, Math.max(0, joined));
  const centre = middle(seconds, water);
  const outside = { x: water.width * 0.13 + 6 * Math.sin(seconds * 0.6), y: water.height * 0.6 };
  return {
    x: outside.x + (centre.x - outside.x) * near,
    y: outside.y + (centre.y - outside.y) * near + 4 * Math.sin(seconds * 0.9),
    headingDeg: -10 * (1 - near) + 3 * Math.cos(seconds * 0.9),
    scale: 1.85 * Math.min(1, water.height / FULL_HEIGHT),
    depth: 1,
  };
}
