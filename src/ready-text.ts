export interface ReadyFacts {
  readonly data: string;
  readonly endpoint: string | undefined;
  readonly commandName: string;
  /** Whether other commands find the store from here without being told. */
  readonly isDefaultData: boolean;
  /** False when the machine could not mount it. */
  readonly drive: false | undefined | { readonly directory: string; readonly bucket: string };
  /** Whether the bucket of the drive exists. */
  readonly hasBucket: boolean;
}

/** What `up` says when it is ready: where everything is, what to try, how to stop. */
export function readyText({
  data,
  endpoint,
  commandName,
  isDefaultData,
  drive,
  hasBucket
}: ReadyFacts): string {
  const at = isDefaultData ? '' : ` --data ${data}`;
  const facts = [`  store   ${data}`];
  const tries: string[] = [];
  if (drive) {
    facts.push(`  drive   ${drive.directory.padEnd(18)} (bucket "${drive.bucket}")`);
    const place = drive.directory.replace(/^\.\//, '');
    tries.push(
      `  cp -r docs ${place}/ && ls -l ${place}/docs`,
      `  ${commandName} ls -r st:${drive.bucket}/${at}`
    );
  } else if (hasBucket) {
    tries.push(`  ${commandName} cp -r docs st:drive/${at}`, `  ${commandName} ls -r st:drive/${at}`);
  } else {
    tries.push(`  ${commandName} bucket create photos${at}`, `  ${commandName} cp -r docs st:photos/${at}`);
  }
  if (endpoint !== undefined) facts.push(`  API     ${endpoint}/trpc`);
  return [
    'Stampede is ready.',
    '',
    ...facts,
    '',
    'Try, in another terminal:',
    ...tries,
    '',
    `Ctrl-C ${drive ? 'unmounts and stops' : 'stops'}; everything is there again with the next start.`,
    ''
  ].join('\n');
}
