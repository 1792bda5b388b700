/** Delete a policy that nobody uses: the other half of every check on insert. */

import type { Database } from "./database.js";
import { StillReferencedError } from "./error.js";

const LOCK = "SELECT id FROM public.approval_policy_master WHERE id = $1 FOR UPDATE";
const USED = "SELECT id FROM public.workflow_instances WHERE approval_policy_id = $1 LIMIT 1";
const DELETE = "DELETE FROM public.approval_policy_master WHERE id = $1";

/**
 * Delete a policy; throws StillReferencedError while a workflow refers to it.
 *
 * The lock comes first and waits for every session that has looked this policy up with a lock. The
 * search is a statement of its own, so under READ COMMITTED it sees what they committed.
 */
export async function deletePolicy(database: Database, policy: string): Promise<void> {
  await database.transaction(async (session) => {
    await session.query(LOCK, [policy]);
    if ((await session.query(USED, [policy])).length > 0) {
      throw new StillReferencedError("id", policy, "public.workflow_instances");
    }
    await session.query(DELETE, [policy]);
  });
}
