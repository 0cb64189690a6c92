export const DEFAULT_PORT = 7070;

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}
