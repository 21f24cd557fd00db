"""What reports, pages and commands say, in every language they speak, in one table: key → (English, Spanish)."""

import locale
import os
from collections.abc import Callable, Mapping

from convia.errors import explain

LANGUAGES = {"en": "English", "es": "Español"}

TEXTS: dict[str, tuple[str, str]] = {
    # the report
    "report": ("Report", "Informe"),
    "skip": ("Skip to the contents", "Saltar al contenido"),
    "contents": ("Contents", "Índice"),
    "summary": ("In short", "En resumen"),
    "dataset": ("The images", "Las imágenes"),
    "curves": ("How it learned", "Cómo aprendió"),
    "confusion": ("Which classes were taken for which", "Qué clases se confundieron con cuáles"),
    "classes": ("Class by class", "Clase por clase"),
    "mistakes": ("Mistakes", "Errores"),
    "calibration": ("Can its certainty be trusted?", "¿Se puede confiar en su certeza?"),
    "inside": ("Inside the network", "Dentro de la red"),
    "model": ("The network, layer by layer", "La red, capa por capa"),
    "repeat": ("How to repeat it", "Cómo repetirlo"),
    "accuracy": ("accuracy", "exactitud"),
    "loss": ("loss", "pérdida"),
    "test": ("test", "prueba"),
    "training": ("training", "entrenamiento"),
    "validation": ("validation", "validación"),
    "testing": ("test", "prueba"),
    "part": ("part", "parte"),
    "epoch": ("epoch", "época"),
    "best_epoch": ("best epoch", "mejor época"),
    "learning_rate": ("learning rate", "tasa de aprendizaje"),
    "class": ("class", "clase"),
    "images": ("images", "imágenes"),
    "all": ("all", "todas"),
    "parameters": ("parameters", "parámetros"),
    "time": ("learning time", "tiempo de aprendizaje"),
    "headline": (
        "{right} of {total} test images were classified rightly: {share}. With this many images the true share "
        "lies, with 95 % certainty, between {low} and {high}.",
        "Se clasificaron bien {right} de {total} imágenes de prueba: {share}. Con ese número de imágenes, la "
        "proporción verdadera está, con un 95 % de certeza, entre {low} y {high}.",
    ),
    "worst_pair": (
        "The most frequent mistake: {true} taken for {predicted} ({count} times).",
        "El error más frecuente: {true} tomada por {predicted} ({count} veces).",
    ),
    "dataset_text": (
        "{name}: {classes} classes, images of {height}\u00a0×\u00a0{width} pixels, {kind}.",
        "{name}: {classes} clases, imágenes de {height}\u00a0×\u00a0{width} píxeles, {kind}.",
    ),
    "grey": ("grey", "grises"),
    "colour": ("in colour", "en color"),
    "examples_of": ("examples of {name}", "ejemplos de {name}"),
    "unreadable": ("Files that could not be read: {count}.", "Archivos que no se pudieron leer: {count}."),
    "chart_alt": (
        "Line chart of {name} over {epochs} epochs: training ends at {train}{validation}. Best epoch: {best}.",
        "Gráfico de {name} a lo largo de {epochs} épocas: el entrenamiento acaba en {train}{validation}. Mejor época: "
        "{best}.",
    ),
    "chart_validation": (", validation at {value}", ", la validación en {value}"),
    "chart_border": (" Fine-tuning begins with epoch {epoch}.", " El ajuste fino empieza en la época {epoch}."),
    "fine_tuning": ("fine-tuning", "ajuste fino"),
    "numbers": ("The numbers", "Los números"),
    "diagnosis": ("Diagnosis", "Diagnóstico"),
    "what_to_do": ("What to do:", "Qué hacer:"),
    "confusion_text": (
        "Rows are true classes, columns what was predicted. Choose a cell to see its images.",
        "Las filas son las clases verdaderas, las columnas lo que se predijo. Elija una celda para ver sus imágenes.",
    ),
    "confusion_many": (
        "With {count} classes, the table would be too large: the most frequent mistakes are listed instead.",
        "Con {count} clases la tabla sería demasiado grande: se listan los errores más frecuentes.",
    ),
    "true_class": ("true class", "clase verdadera"),
    "predicted_class": ("predicted class", "clase predicha"),
    "cell": ("{true} taken for {predicted}: {count}", "{true} tomada por {predicted}: {count}"),
    "cell_right": ("{true}, recognised: {count}", "{true}, reconocida: {count}"),
    "shown_of": ("{shown} of {count} are shown.", "Se muestran {shown} de {count}."),
    "close": ("Back to the table", "Volver a la tabla"),
    "precision": ("precision", "precisión"),
    "recall": ("recall", "exhaustividad"),
    "f1": ("F1", "F1"),
    "classes_text": (
        "Precision: how many of the images said to be of a class are. Recall: how many images of a class were found.",
        "Precisión: cuántas de las imágenes asignadas a una clase lo son. Exhaustividad: cuántas imágenes de una clase "
        "se encontraron.",
    ),
    "worst": ("The most certain mistakes", "Los errores más seguros"),
    "worst_text": (
        "Here the network was sure, and wrong. Look for wrong labels first. The coloured picture (Grad-CAM) shows what "
        "spoke for the predicted class: yellow much, dark little.",
        "Aquí la red estaba segura y se equivocó. Busque primero etiquetas erróneas. La imagen coloreada (Grad-CAM) "
        "muestra qué habló a favor de la clase predicha: amarillo mucho, oscuro poco.",
    ),
    "uncertain": ("The least certain mistakes", "Los errores menos seguros"),
    "uncertain_text": (
        "Here the network hesitated between two classes.",
        "Aquí la red dudó entre dos clases.",
    ),
    "no_mistakes": ("There were no mistakes among the test images.", "No hubo errores entre las imágenes de prueba."),
    "said": (
        "said {predicted} ({sure}), is {true} ({other})",
        "dijo {predicted} ({sure}), es {true} ({other})",
    ),
    "image_alt": ("image of {true}, predicted {predicted}", "imagen de {true}, predicción {predicted}"),
    "cam_alt": (
        "the same image; coloured where it spoke for {predicted}",
        "la misma imagen, coloreada donde habló a favor de {predicted}",
    ),
    "calibration_text": (
        "Of images on which the network is 80 % certain it should get 80 % right. On average its certainty is off by "
        "{ece} (expected calibration error); it is {tendency}.",
        "De las imágenes en las que la red está segura al 80 % debería acertar el 80 %. En promedio su certeza se "
        "desvía {ece} (error de calibración esperado); es {tendency}.",
    ),
    "too_sure": ("too sure of itself", "demasiado segura de sí misma"),
    "too_timid": ("less sure than it could be", "menos segura de lo que podría"),
    "calibrated": ("about as sure as it should be", "más o menos tan segura como debe"),
    "certainty": ("certainty", "certeza"),
    "share_right": ("share that is right", "proporción de aciertos"),
    "perfect": ("perfect", "perfecta"),
    "calibration_alt": (
        "Calibration curve: {points}.",
        "Curva de calibración: {points}.",
    ),
    "calibration_point": ("at {sure} certain, {right} right", "con {sure} de certeza, {right} de aciertos"),
    "filters": ("What the first layer looks for", "Qué busca la primera capa"),
    "filters_text": (
        "{name!s}: {shown} of {count} filters of {height}\u00a0×\u00a0{width}. {how}",
        "{name!s}: {shown} de {count} filtros de {height}\u00a0×\u00a0{width}. {how}",
    ),
    "filters_signs": ("Orange weights are positive, blue ones negative.", "Naranja: pesos positivos; azul: negativos."),
    "filters_colour": ("In the colours they look for.", "En los colores que buscan."),
    "maps": ("What the layers see", "Qué ven las capas"),
    "maps_of": (
        "{layer}: {shown} of {count} maps of {height}\u00a0×\u00a0{width}",
        "{layer}: {shown} de {count} mapas de {height}\u00a0×\u00a0{width}",
    ),
    "maps_text": ("An image of {name}; bright is strong.", "Una imagen de {name}; claro es fuerte."),
    "layer": ("layer", "capa"),
    "type": ("type", "tipo"),
    "output_shape": ("output shape", "forma de la salida"),
    "total_parameters": (
        "{total} parameters, {trainable} of which learn.",
        "{total} parámetros, de los que aprenden {trainable}.",
    ),
    "command": ("The command", "La orden"),
    "in_python": ("The network in Python", "La red en Python"),
    "fact": ("what", "qué"),
    "value": ("value", "valor"),
    "seed": ("seed", "semilla"),
    "began": ("begun", "comenzado"),
    "device": ("device", "dispositivo"),
    "settings": ("settings", "ajustes"),
    "repeat_text": (
        "On the same machine, with the same versions and images, the same numbers come out.",
        "En la misma máquina, con las mismas versiones e imágenes, salen los mismos números.",
    ),
    "made_by": ("Made by convia. This file needs no network.", "Hecho por convia. Este archivo no necesita red."),
    # the diagnosis: what, and what to do
    "diverged": ("The loss stopped being a number.", "La pérdida dejó de ser un número."),
    "diverged_do": (
        "Lower the learning rate to a tenth ({rate}), and look for images with impossible values.",
        "Baje la tasa de aprendizaje a una décima parte ({rate}) y busque imágenes con valores imposibles.",
    ),
    "rate_too_high": (
        "The training loss jumps up and down (it rose in {rises} of {steps} epochs): the learning rate is too high.",
        "La pérdida de entrenamiento salta (subió en {rises} de {steps} épocas): la tasa de aprendizaje es demasiado "
        "alta.",
    ),
    "rate_too_high_do": ("Try --learning-rate {rate}.", "Pruebe --learning-rate {rate}."),
    "not_learning": (
        "It hardly does better than guessing ({accuracy} on the training images).",
        "Apenas supera al azar ({accuracy} en las imágenes de entrenamiento).",
    ),
    "not_learning_do": (
        "Check labels and pixel values; try another learning rate.",
        "Revise las etiquetas y los valores de los píxeles; pruebe otra tasa de aprendizaje.",
    ),
    "overfitting": (
        "It over-fits: it goes on learning the training images by heart while those it was not trained on do not get "
        "better ({gap}).",
        "Sobreajusta: sigue memorizando las imágenes de entrenamiento mientras las demás no mejoran ({gap}).",
    ),
    "overfitting_do": (
        "More images, images changed at random (augmentation), Dropout, or a smaller network. The weights of epoch "
        "{best} were kept, the best on the validation images.",
        "Más imágenes, imágenes cambiadas al azar (aumento de datos), Dropout o una red más pequeña. Se conservaron "
        "los pesos de la época {best}, la mejor con las imágenes de validación.",
    ),
    "gap_loss": (
        "validation loss {after} in the end, {best} at its best",
        "pérdida de validación {after} al final, {best} en su mejor momento",
    ),
    "gap_accuracy": ("{train} against {validation} right", "{train} frente a {validation} de aciertos"),
    "not_converged": (
        "It was still getting better when training ended at epoch {epochs}.",
        "Todavía mejoraba cuando terminó el entrenamiento en la época {epochs}.",
    ),
    "not_converged_do": ("Train longer: {option} {more}.", "Entrene más tiempo: {option} {more}."),
    "underfitting": (
        "Even the training images are not learned well ({accuracy}), and it no longer improves.",
        "Ni siquiera aprende bien las imágenes de entrenamiento ({accuracy}) y ya no mejora.",
    ),
    "underfitting_do": (
        "Try a larger network (--model deep), larger images (--image-size), or a published one (--model resnet50).",
        "Pruebe una red mayor (--model deep), imágenes mayores (--image-size) o una publicada (--model resnet50).",
    ),
    "leak": (
        "Leak suspected: {count} of the images for validation and test are also among those for training.",
        "Posible fuga: {count} imágenes de validación y prueba están también entre las de entrenamiento.",
    ),
    "leak_do": (
        "The accuracy is too good to be true. Find the duplicates with convia doctor FOLDER.",
        "La exactitud es demasiado buena. Busque los duplicados con convia doctor CARPETA.",
    ),
    "imbalance": (
        "The classes differ much in size: {most} images of {large}, {least} of {small}.",
        "Las clases tienen tamaños muy distintos: {most} imágenes de {large}, {least} de {small}.",
    ),
    "imbalance_do": (
        "Look at the recall of the small classes, not only at the accuracy.",
        "Mire la exhaustividad de las clases pequeñas, no solo la exactitud.",
    ),
    "few_test": (
        "There are only {count} test images: the accuracy is known to ± {spread} only.",
        "Solo hay {count} imágenes de prueba: la exactitud solo se conoce con ± {spread}.",
    ),
    "few_test_do": ("Collect more test images.", "Reúna más imágenes de prueba."),
    "healthy": ("Nothing unusual: training went well.", "Nada inusual: el entrenamiento fue bien."),
    "healthy_do": ("Nothing.", "Nada."),
    # the service's page
    "page_title": ("What is in the picture?", "¿Qué hay en la imagen?"),
    "page_drop": ("Drop an image here, or choose one", "Suelte una imagen aquí o elija una"),
    "page_choose": ("Choose an image", "Elegir una imagen"),
    "page_draw": ("Or draw one", "O dibuje una"),
    "page_draw_label": (
        "Drawing area. Draw with mouse or finger; with the keyboard, arrow keys move the pen and the space bar lowers "
        "or lifts it.",
        "Zona de dibujo. Dibuje con el ratón o el dedo; con el teclado, las flechas mueven el lápiz y la barra "
        "espaciadora lo baja o lo levanta.",
    ),
    "page_classify": ("Classify the drawing", "Clasificar el dibujo"),
    "page_clear": ("Clear", "Borrar"),
    "page_dark": ("dark on bright", "oscuro sobre claro"),
    "page_result": ("Classes", "Clases"),
    "page_result_empty": ("No image yet.", "Todavía no hay imagen."),
    "page_why": ("Why?", "¿Por qué?"),
    "page_why_text": (
        "Yellow spoke most for the class that you choose in the list.",
        "Lo amarillo es lo que más habló a favor de la clase elegida en la lista.",
    ),
    "page_cam_alt": (
        "the image, coloured where it spoke for {name}",
        "la imagen, coloreada donde habló a favor de {name}",
    ),
    "page_strength": ("strength of the colours", "intensidad de los colores"),
    "page_maps": ("What a layer sees", "Qué ve una capa"),
    "page_layer": ("Layer", "Capa"),
    "page_maps_alt": (
        "{shown} of {count} feature maps of {layer}",
        "{shown} de {count} mapas de características de {layer}",
    ),
    "page_working": ("Working …", "Trabajando …"),
    "page_said": ("{name}, {share} certain", "{name}, {share} de certeza"),
    "page_failed": ("That did not work: {reason}", "No funcionó: {reason}"),
    "page_unreachable": ("the service does not answer", "el servicio no responde"),
    "page_input": ("the image", "la imagen"),
    "page_language": ("Español", "English"),
    "page_api": (
        "Programs use POST /predict; everything it takes is in /openapi.json.",
        "Los programas usan POST /predict; todo lo que acepta está en /openapi.json.",
    ),
}

Say = Callable[..., str]


def language(wanted: str | None = None) -> str:
    """Return "en" or "es": what is wanted, or by the user's locale.

    Raises:
        ValueError: a language that is not spoken.
    """
    if wanted is not None:
        if wanted not in LANGUAGES:
            raise ValueError(explain("--lang", repr(wanted), f"one of {list(LANGUAGES)}"))
        return wanted
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    found = next((name for name in names if name), None) or locale.getlocale()[0] or "en"
    return next((code for code in LANGUAGES if found.lower().startswith(code)), "en")


def speaker(wanted: str | None = None, texts: Mapping[str, tuple[str, str]] = TEXTS) -> Say:
    """Return a function: key and the values to fill in → text of a language."""
    column = list(LANGUAGES).index(language(wanted))

    def say(key: str, **values: object) -> str:
        text = texts[key][column]
        return text.format(**values) if values else text

    return say
