// What decides about a tool, in the words of the page. The gateway resolves the same rules
// (docs/api.md, Tools); this tells what would hold without the user's own rule for one tool.
import { matching } from './connections';
import type { Policy, PolicyRule, Tool } from './types';

export type Filter = 'all' | 'own' | Policy;

export interface ToolGroup {
  server: string; // "": built in
  rule: Policy | null; // for all of the server
  tools: Tool[];
  own: number; // rules of the user in it
}

const ALL = '*';

export function ruleOf(rules: PolicyRule[], server: string, tool: string): Policy | null {
  return rules.find((r) => r.server === server && r.tool === tool)?.policy ?? null;
}

/** What holds for a tool that has no rule of its own. */
export function fallbackOf(tool: Tool, rules: PolicyRule[]): { policy: Policy; byServer: boolean } {
  const server = ruleOf(rules, tool.server, ALL);
  if (server) return { policy: server, byServer: true };
  return { policy: tool.server === '' || tool.read_only ? 'allow' : 'ask', byServer: false };
}

/** What holds now, also between a change here and the gateway's next answer. */
export function policyOf(tool: Tool, rules: PolicyRule[]): Policy {
  return ruleOf(rules, tool.server, tool.tool) ?? fallbackOf(tool, rules).policy;
}

function passes(tool: Tool, rules: PolicyRule[], filter: Filter): boolean {
  if (filter === 'all') return true;
  if (filter === 'own') return ruleOf(rules, tool.server, tool.tool) !== null;
  return !tool.quarantined && policyOf(tool, rules) === filter;
}

/** Servers by name, the built-in tools last; groups without a tool that is wanted are left out. */
export function groupTools(
  tools: Tool[],
  rules: PolicyRule[],
  search: string,
  filter: Filter,
): ToolGroup[] {
  const wanted = matching(
    tools.filter((t) => passes(t, rules, filter)),
    search,
    (t) => `${t.server} ${t.tool} ${t.title} ${t.description}`,
  );
  const groups = new Map<string, Tool[]>();
  for (const tool of wanted) {
    const group = groups.get(tool.server);
    if (group) group.push(tool);
    else groups.set(tool.server, [tool]);
  }
  return [...groups]
    .map(([server, list]) => ({
      server,
      rule: ruleOf(rules, server, ALL),
      tools: list.sort((a, b) => a.tool.localeCompare(b.tool)),
      own: rules.filter((r) => r.server === server).length,
    }))
    .sort((a, b) => Number(!a.server) - Number(!b.server) || a.server.localeCompare(b.server));
}

/** Rules that no tool shows: of servers that are away, or tools that are no more. */
export function orphanRules(tools: Tool[], rules: PolicyRule[]): PolicyRule[] {
  const servers = new Set(tools.map((t) => t.server));
  const names = new Set(tools.map((t) => `${t.server}\n${t.tool}`));
  return rules.filter((r) =>
    r.tool === ALL ? !servers.has(r.server) : !names.has(`${r.server}\n${r.tool}`),
  );
}

/** The rules after one was made, replaced, or (null) deleted. */
export function withRule(
  rules: PolicyRule[],
  server: string,
  tool: string,
  policy: Policy | null,
): PolicyRule[] {
  const others = rules.filter((r) => r.server !== server || r.tool !== tool);
  if (!policy) return others;
  return [...others, { server, tool, policy, updated_at: new Date().toISOString() }];
}
