package qcnn.tflite.demo

import qcnn.tflite.Problem

/** What a button below a failure does. */
enum class Action(
    val label: Int,
) {
    ALLOW_CAMERA(R.string.action_allow),
    OPEN_SETTINGS(R.string.action_settings),
    RETRY(R.string.action_retry),
    OTHER_MODEL(R.string.action_other_model),
    CHOOSE_PHOTO(R.string.photo_choose),
    OTHER_PHOTO(R.string.photo_other),
}

/** Everything that can go wrong, as the screen that says what and what to do. Texts may name a file. */
enum class Failure(
    val title: Int,
    val text: Int,
    val first: Action,
    val second: Action? = null,
    val icon: Int = R.drawable.ic_failure,
) {
    ASK(R.string.ask_title, R.string.ask_text, Action.ALLOW_CAMERA, Action.CHOOSE_PHOTO, R.drawable.ic_live),
    DENIED(R.string.denied_title, R.string.denied_text, Action.OPEN_SETTINGS, Action.CHOOSE_PHOTO, R.drawable.ic_camera_off),
    NO_CAMERA(R.string.no_camera_title, R.string.no_camera_text, Action.CHOOSE_PHOTO, icon = R.drawable.ic_camera_off),
    CAMERA_IN_USE(R.string.in_use_title, R.string.in_use_text, Action.RETRY, Action.CHOOSE_PHOTO, R.drawable.ic_camera_off),
    CAMERA_LOST(R.string.lost_title, R.string.lost_text, Action.RETRY, Action.CHOOSE_PHOTO, R.drawable.ic_camera_off),
    CAMERA_BLOCKED(R.string.blocked_title, R.string.blocked_text, Action.CHOOSE_PHOTO, icon = R.drawable.ic_camera_off),
    CAMERA_BROKEN(R.string.camera_broken_title, R.string.camera_broken_text, Action.RETRY, Action.CHOOSE_PHOTO, R.drawable.ic_camera_off),
    NOT_A_MODEL(R.string.not_a_model_title, R.string.not_a_model_text, Action.OTHER_MODEL),
    DAMAGED(R.string.damaged_title, R.string.damaged_text, Action.OTHER_MODEL),
    NO_METADATA(R.string.no_metadata_title, R.string.no_metadata_text, Action.OTHER_MODEL),
    BAD_METADATA(R.string.bad_metadata_title, R.string.bad_metadata_text, Action.OTHER_MODEL),
    UNSUPPORTED(R.string.unsupported_title, R.string.unsupported_text, Action.OTHER_MODEL),
    OPS_MISSING(R.string.ops_missing_title, R.string.ops_missing_text, Action.OTHER_MODEL),
    REFUSED(R.string.refused_title, R.string.refused_text, Action.OTHER_MODEL),
    OUT_OF_MEMORY(R.string.memory_title, R.string.memory_text, Action.OTHER_MODEL),
    MODEL_GONE(R.string.model_gone_title, R.string.model_gone_text, Action.OTHER_MODEL),
    IMPORT_FAILED(R.string.import_failed_title, R.string.import_failed_text, Action.OTHER_MODEL),
    PHOTO_FAILED(R.string.photo_failed_title, R.string.photo_failed_text, Action.OTHER_PHOTO, icon = R.drawable.ic_photo),
    PHOTO_TOO_LARGE(R.string.memory_title, R.string.memory_text, Action.OTHER_PHOTO),
    ;

    companion object {
        fun of(problem: Problem): Failure =
            when (problem) {
                Problem.NOT_A_MODEL -> NOT_A_MODEL
                Problem.DAMAGED -> DAMAGED
                Problem.NO_METADATA -> NO_METADATA
                Problem.BAD_METADATA -> BAD_METADATA
                Problem.UNSUPPORTED -> UNSUPPORTED
                Problem.OPS_MISSING -> OPS_MISSING
                Problem.REFUSED -> REFUSED
                Problem.OUT_OF_MEMORY -> OUT_OF_MEMORY
            }
    }
}

/** A failure that happened: [name] is the file's, [detail] a sentence of the library or the runtime. */
data class Failed(
    val failure: Failure,
    val name: String = "",
    val detail: String? = null,
)
