/** Which of these are not installed, or false: for tap's `skip`. Where everything must be there (`MISSING=fail`) it throws. */
export declare function missingOf(programs: readonly string[]): Promise<string | false>;
//# sourceMappingURL=needs.d.ts.map
