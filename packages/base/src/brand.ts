declare const brand: unique symbol;

/** A type that only its own parser hands out: `type PeerId = Brand<string, 'PeerId'>`. */
export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name };
