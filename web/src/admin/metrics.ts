// A few numbers out of Prometheus' text format; what is not there is null.

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export function parseMetrics(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const parts = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!parts) continue; // comments, and whatever we don't know
    const value = Number(parts[3]);
    if (Number.isNaN(value)) continue;
    const labels: Record<string, string> = {};
    for (const [, label, word] of (parts[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[label!] = word!;
    }
    samples.push({ name: parts[1]!, labels, value });
  }
  return samples;
}

export function total(
  samples: Sample[],
  name: string,
  where: (labels: Record<string, string>) => boolean = () => true,
): number | null {
  const found = samples.filter((s) => s.name === `adjutant_${name}` && where(s.labels));
  return found.length ? found.reduce((sum, s) => sum + s.value, 0) : null;
}
