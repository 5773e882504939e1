CREATE TABLE "account_snapshots" (
	"user_id" text PRIMARY KEY NOT NULL,
	"created_by" text NOT NULL,
	"revision" integer NOT NULL,
	"request" text,
	"snapshot" jsonb
);
--> statement-breakpoint
ALTER TABLE "account_snapshots" ADD CONSTRAINT "account_snapshots_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;
