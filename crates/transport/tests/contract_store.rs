//! What every store promises, checked on both: the one in memory and PostgreSQL.
//!
//! A property is a function of a [`World`](store::World); this file lists them, once, and runs each in both worlds.

mod store;

macro_rules! on_both {
    ($($module:ident: $($property:ident),+;)+) => {
        mod memory {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                super::store::$module::$property(super::store::InMemory::default()).await;
            })+)+
        }
        mod postgres {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                super::store::$module::$property(super::store::OnPostgres::create().await).await;
            })+)+
        }
    };
}

on_both! {
    rows:
        what_is_saved_is_loaded_the_same,
        what_does_not_exist_is_absent,
        a_kind_that_is_not_the_contexts_is_fatal,
        a_listing_is_newest_first_filtered_and_paged,
        the_clock_never_runs_back,
        journal_entries_stand_in_the_order_of_versions_and_for_ever,
        what_a_batch_relied_on_without_loading_it_is_compared_at_its_commit;
    transactions:
        a_commit_that_fails_writes_nothing,
        a_stale_version_is_tried_again,
        a_row_is_created_once,
        a_dropped_transaction_changes_nothing_and_frees_its_rows,
        a_loaded_row_waits_for_the_one_who_has_it,
        reading_without_a_lock_waits_for_nobody,
        two_who_wait_for_each_other_do_not_wait_for_ever,
        a_lost_answer_to_a_commit_that_stands_is_found_out,
        a_lost_answer_to_a_commit_that_failed_is_found_out;
    claims:
        a_claim_takes_the_lowest_rank_that_will_do,
        a_claim_passes_over_what_others_hold,
        what_waits_is_counted_no_further_than_asked,
        no_row_is_ever_given_to_two;
    inbox:
        marks_change_by_compare_and_set,
        marks_of_consumers_and_streams_are_apart,
        the_first_answer_to_an_idempotency_key_stands,
        answers_are_swept_after_a_day;
    timers:
        what_is_due_comes_oldest_first,
        those_due_at_the_same_time_come_by_their_ids,
        an_aggregate_has_one_timer_which_moves_and_goes,
        a_timer_is_due_when_its_time_has_come;
    outbox:
        what_is_committed_is_what_the_scan_finds,
        a_scan_keeps_to_its_shards_and_finds_a_prefix_of_each_stream,
        concurrent_writers_and_rotations_lose_and_reorder_nothing,
        rotation_waits_for_the_other_table_to_be_drained,
        a_shard_has_one_owner_until_its_time_is_over,
        a_lease_that_is_given_back_is_free_at_once,
        only_the_one_who_holds_the_lease_deletes,
        the_backlog_tells_rows_and_age,
        a_waiting_command_is_found_by_its_effect_key;
    parking:
        a_parked_record_waits_for_a_decision,
        the_lowest_of_a_stream_goes_first_whatever_was_decided_about_the_others,
        a_gap_is_released_when_its_predecessor_is_there,
        a_gap_in_events_is_no_gap,
        a_record_is_parked_once,
        a_record_that_is_parked_again_takes_its_place_anew,
        a_record_without_a_position_holds_nothing,
        what_is_held_is_counted_by_stream,
        consumers_park_apart;
}

mod only_postgres {
    use super::store;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn text_that_cannot_be_stored_is_poison_whatever_else_is_in_the_batch() {
        store::poison::text_that_cannot_be_stored_is_poison(store::OnPostgres::create().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_that_is_behind_is_told_with_what_to_do() {
        store::version::a_database_that_is_behind_is_told_with_what_to_do(store::OnPostgres::create().await).await;
    }
}
