import type { ChangeListener } from '../change-listener.js';

/** @returns A listener, and what it was told, a line each as `changed /a/b`. */
export function recordingListener(): { readonly listener: ChangeListener; readonly told: string[] } {
  const told: string[] = [];
  const listener: ChangeListener = {
    changed: (path, { isGone }) => void told.push(`${isGone ? 'gone' : 'changed'} ${path}`),
    treeChanged: (path) => void told.push(`tree ${path}`),
    bytesChanged: (path) => void told.push(`bytes ${path}`),
    guarded: async (path) => void told.push(`guarded ${path}`),
    refreshed: async (path) => void told.push(`refreshed ${path}`),
    allChanged: () => void told.push('all')
  };
  return { listener, told };
}
