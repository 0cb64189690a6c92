import { defineCommand, value } from '../command.js';
import { readableObject } from '../copy/readable-object.js';
import { connectionOptions } from '../shared-options.js';
import { parseSize } from '../size.js';
import { parseInBucket } from '../store-path.js';

export const cat = defineCommand({
  name: 'cat',
  parameters: '<path...>',
  summary: 'print the bytes of objects',
  details: 'Every byte is checked against its checksum before it is printed.',
  options: {
    offset: value('--offset <size>', 'begin there (default: 0)', parseSize),
    length: value('--length <size>', 'print so many bytes at most (default: all)', parseSize),
    ...connectionOptions
  },
  example: 'cat st:drive/notes.txt',
  async run(context, texts, options) {
    const { output, signal } = context;
    const paths = texts.map((text) => parseInBucket(text, 'cat'));
    const { offset, length } = options;
    const store = await context.store(options);
    for (const path of paths) {
      const { bucket, key } = await readableObject(store, path, signal);
      const { body } = await store.download({ bucket, key, offset, length, signal });
      for await (const piece of body) await output.write(piece);
    }
  }
});
