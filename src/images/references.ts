/** Where the reference images of a generation lie in their private bucket: `<generation>/<position, from 1>`. */
export function referenceKey(generationId: string, position: number): string {
  return `${generationId}/${position}`;
}

/** Removes the first `count` references of a generation, those that are there, in one call. */
export async function removeReferences(bucket: R2Bucket, generationId: string, count: number): Promise<void> {
  if (count === 0) return;
  await bucket.delete(Array.from({ length: count }, (_, i) => referenceKey(generationId, i + 1)));
}
