/** The key of a reference image in its private bucket: `<upload>/<position, from 1>`. */
export function referenceKey(uploadId: string, position: number): string {
  return `${uploadId}/${position}`;
}

/** Where a reference lies that was uploaded ahead. */
export function uploadedReferenceKey(userId: string, id: string): string {
  return `uploaded/${userId}/${id}`;
}

/** Deletes references in one call. Ignores those that are already gone. */
export async function removeReferences(
  bucket: R2Bucket,
  references: readonly { key: string }[],
): Promise<void> {
  if (references.length > 0) await bucket.delete(references.map(({ key }) => key));
}
