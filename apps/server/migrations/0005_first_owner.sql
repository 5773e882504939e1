-- The invitation of the first administrator has an id of its own now: those that earlier starts made count no more.
DELETE FROM "invitations" WHERE "invited_by" = 'the first start' AND "used_at" IS NULL;
