export { type Credentials, generateCredentials } from './access-keys.js';
export { type FrontEnd, type FrontEndOptions, type ListenAddress, openFrontEnd } from './front-end.js';
export { answerText } from './http-answers.js';
export type { AppRouter } from './router.js';
