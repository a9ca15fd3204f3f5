/** Sizes that both ends enforce. Bytes unless the name says otherwise. */
export const limits = {
  mqttPayloadBytes: 262_144,
  /**
   * What a release says of its version, as JSON: a slot may name two (one beside the other), and the desired state that
   * names them is one MQTT payload.
   */
  versionBytes: 98_304,
  httpJsonBytes: 1_048_576,
  artifactBytes: 2 * 1024 ** 3,
  goldenBytes: 16_777_216,
  /** How far a device clock may be from the plane's before the skew is reported. */
  clockSkewMs: 120_000,
  selectorCharacters: 512,
} as const;
