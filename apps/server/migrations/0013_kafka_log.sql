CREATE TABLE "dead_events" (
	"topic" text NOT NULL,
	"consumer_group" text NOT NULL,
	"zone" text NOT NULL,
	"seq" bigint NOT NULL,
	"log_partition" integer NOT NULL,
	"log_offset" bigint NOT NULL,
	CONSTRAINT "dead_events_topic_consumer_group_zone_seq_pk" PRIMARY KEY("topic","consumer_group","zone","seq")
);
--> statement-breakpoint
CREATE TABLE "dead_letters" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"topic" text NOT NULL,
	"consumer_group" text NOT NULL,
	"log_partition" integer NOT NULL,
	"log_offset" bigint NOT NULL,
	"zone" text NOT NULL,
	"seq" bigint NOT NULL,
	"reason" text NOT NULL,
	"created_at" bigint NOT NULL,
	"resume_from" integer,
	"batch" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "log_consumers" (
	"topic" text NOT NULL,
	"consumer_group" text NOT NULL,
	"offsets" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"beyond_end" jsonb DEFAULT '[]'::jsonb NOT NULL,
	CONSTRAINT "log_consumers_topic_consumer_group_pk" PRIMARY KEY("topic","consumer_group")
);
--> statement-breakpoint
CREATE TABLE "log_cursors" (
	"topic" text NOT NULL,
	"shard" integer NOT NULL,
	"log_offset" bigint NOT NULL,
	"epoch" bigint NOT NULL,
	"nonce" text NOT NULL,
	"index" bigint NOT NULL,
	CONSTRAINT "log_cursors_topic_shard_log_offset_pk" PRIMARY KEY("topic","shard","log_offset")
);
--> statement-breakpoint
CREATE TABLE "log_gaps" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"topic" text NOT NULL,
	"consumer_group" text NOT NULL,
	"log_partition" integer NOT NULL,
	"from_offset" bigint NOT NULL,
	"to_offset" bigint NOT NULL,
	"at" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "dead_letters_of_zone" ON "dead_letters" USING btree ("topic","consumer_group","zone","seq");--> statement-breakpoint
CREATE INDEX "log_gaps_of_group" ON "log_gaps" USING btree ("topic","consumer_group","id");