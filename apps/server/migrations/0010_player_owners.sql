CREATE TABLE "player_owners" (
	"player" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"name" text NOT NULL,
	"created_at" bigint NOT NULL,
	"until" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "player_owners_of_user" ON "player_owners" USING btree ("user_id");
