/** The longest edge of a rendition in pixels: for a tile of a list, and for an image on a page of its own. */
export type RenditionEdge = 640 | 1280;

/** `gen_<ULID>/img_<ULID>.<extension>`: an image stored by a run; its rendition has `.<edge>.webp` after that. */
const IMAGE_KEY =
  /^(?<image>gen_[0-9A-HJKMNP-TV-Z]{26}\/img_[0-9A-HJKMNP-TV-Z]{26}\.(?:png|jpg|webp))(?:\.(?<edge>640|1280)\.webp)?$/;

/** The image that a key of the images bucket names, and the edge of its rendition, or null. Null for any other key. */
export function parseImageKey(key: string): { imageKey: string; edge: number | null } | null {
  const { image, edge } = IMAGE_KEY.exec(key)?.groups ?? {};
  return image === undefined ? null : { imageKey: image, edge: edge === undefined ? null : Number(edge) };
}

/** The key of an image's rendition. It begins with the key of the image. */
export function renditionKey(imageKey: string, edge: RenditionEdge): string {
  return `${imageKey}.${edge}.webp`;
}
