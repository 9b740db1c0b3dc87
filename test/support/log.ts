import { vi } from "vitest";

/** Collects the lines of the log, whatever their level, and keeps them from the console. @returns a spy on each line */
export function spyOnLog(take: (line: string) => void = () => {}) {
  const lines = vi.fn(take);
  for (const level of ["log", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation(lines);
  return lines;
}
