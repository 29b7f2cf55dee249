// What a type of Grafana's looks like once it is written as JSON.

/**
 * `T` with each enum replaced by the literals it stands for.
 *
 * Grafana's types say `mode: ThresholdsMode.Absolute`, a file says
 * `"mode": "absolute"`, and TypeScript does not take the one for the other.
 */
export type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : never
      : T extends boolean | null | undefined
        ? T
        : T extends (...args: never[]) => unknown
          ? never
          : T extends ReadonlyArray<infer Item>
            ? Array<Json<Item>>
            : { [Key in keyof T]: Json<T[Key]> };

/** `T` with the keys of `Sharper` said more exactly. */
export type Sharpen<T, Sharper> = Omit<T, keyof Sharper> & Sharper;
