CREATE TABLE "projection_marks" (
	"consumer_group" text NOT NULL,
	"zone" text NOT NULL,
	"seq" bigint NOT NULL,
	CONSTRAINT "projection_marks_consumer_group_zone_pk" PRIMARY KEY("consumer_group","zone")
);
--> statement-breakpoint
CREATE TABLE "projection_offsets" (
	"consumer_group" text NOT NULL,
	"log_partition" integer NOT NULL,
	"next_offset" bigint NOT NULL,
	CONSTRAINT "projection_offsets_consumer_group_log_partition_pk" PRIMARY KEY("consumer_group","log_partition")
);
--> statement-breakpoint
CREATE TABLE "item_history" (
	"zone" text NOT NULL,
	"seq" bigint NOT NULL,
	"at" bigint NOT NULL,
	"player" text NOT NULL,
	"item" text NOT NULL,
	"kind" text NOT NULL,
	"what" text NOT NULL,
	CONSTRAINT "item_history_zone_seq_pk" PRIMARY KEY("zone","seq")
);
--> statement-breakpoint
CREATE TABLE "movements" (
	"zone" text NOT NULL,
	"seq" bigint NOT NULL,
	"at" bigint NOT NULL,
	"player" text NOT NULL,
	"x" integer NOT NULL,
	"y" integer NOT NULL,
	CONSTRAINT "movements_zone_seq_pk" PRIMARY KEY("zone","seq")
);
--> statement-breakpoint
CREATE TABLE "player_changes" (
	"zone" text NOT NULL,
	"seq" bigint NOT NULL,
	"at" bigint NOT NULL,
	"player" text NOT NULL,
	"type" text NOT NULL,
	"detail" jsonb NOT NULL,
	CONSTRAINT "player_changes_zone_seq_player_pk" PRIMARY KEY("zone","seq","player")
);
--> statement-breakpoint
CREATE TABLE "players" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"zone" text NOT NULL,
	"x" integer NOT NULL,
	"y" integer NOT NULL,
	"health" integer NOT NULL,
	"awake" boolean NOT NULL,
	"suspicion" integer NOT NULL,
	"bag" jsonb NOT NULL,
	"first_seen_at" bigint NOT NULL,
	"arrived_at" bigint NOT NULL,
	"changed_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"player" text NOT NULL,
	"started_at" bigint NOT NULL,
	"started_in" text NOT NULL,
	"ended_at" bigint,
	"ended_in" text,
	"reason" text
);
--> statement-breakpoint
CREATE INDEX "item_history_of_player" ON "item_history" USING btree ("player","at");--> statement-breakpoint
CREATE INDEX "movements_of_player" ON "movements" USING btree ("player","at");--> statement-breakpoint
CREATE INDEX "player_changes_of_player" ON "player_changes" USING btree ("player","at");--> statement-breakpoint
CREATE INDEX "players_by_name" ON "players" USING btree ("name");--> statement-breakpoint
CREATE INDEX "sessions_of_player" ON "sessions" USING btree ("player","started_at");