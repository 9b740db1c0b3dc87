CREATE TABLE `purchases` (
	`id` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`pack_id` text NOT NULL,
	`pack_name` text NOT NULL,
	`credits` integer NOT NULL,
	`amount` integer NOT NULL,
	`currency` text NOT NULL,
	`expires_after_days` integer,
	`created_at` integer NOT NULL,
	`session_id` text,
	`payment_intent` text,
	`pending_at` integer,
	`failed_at` integer,
	`paid_at` integer,
	`refunded` integer DEFAULT 0 NOT NULL,
	`disputed` integer DEFAULT 0 NOT NULL,
	`credits_reversed` integer DEFAULT 0 NOT NULL,
	`shortfall` integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `purchases_session_id_unique` ON `purchases` (`session_id`);--> statement-breakpoint
CREATE INDEX `purchases_user` ON `purchases` (`user_id`,`id`);--> statement-breakpoint
CREATE INDEX `purchases_payment` ON `purchases` (`payment_intent`) WHERE "purchases"."payment_intent" IS NOT NULL;