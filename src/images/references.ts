/** Where the reference images of one request lie in their private bucket: `<upload>/<position, from 1>`. */
export function referenceKey(uploadId: string, position: number): string {
  return `${uploadId}/${position}`;
}

/** Removes stored references in one call; those that are gone already do no harm. */
export async function removeReferences(
  bucket: R2Bucket,
  references: readonly { key: string }[],
): Promise<void> {
  if (references.length > 0) await bucket.delete(references.map(({ key }) => key));
}
